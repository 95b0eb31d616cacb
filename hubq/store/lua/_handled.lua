-- What messages that were handled leave behind. Each of these reads from args[i] on, and answers with the place behind that.
-- remove_done(mailbox, backlog, args, i) -> i: n, then n times: child, m, m entry ids
-- save_states(msk, args, i) -> i: n, then n times: child, state
-- push_replies(keys, k, args, i) -> i, k: n, then for each list, from keys[k] on: ttl ms, m, m replies
-- include: _backlog
local function remove_done(mailbox, backlog, args, i)
  local names, done, entries, total, children = {}, {}, {}, 0, tonumber(args[i])
  i = i + 1
  for d = 1, children do
    local m = args[i + 1] == '1' and 1 or tonumber(args[i + 1]) -- (to read a number takes long, and it nearly always is this one)
    names[d], done[d] = args[i], m
    for j = i + 2, i + 1 + m do
      total = total + 1
      entries[total] = args[j]
    end
    i = i + 2 + m
  end
  local counts = backlog_of(backlog, names)
  -- A script that has written once may go on when the memory is full: commits make room.
  if total == 0 then redis.call('XDEL', mailbox, '0-0') end
  local removed = 0
  each_part(entries, 1, total, function(...) removed = removed + redis.call('XDEL', mailbox, ...) end)
  if removed > 0 then backlog_less(mailbox, backlog, names, counts, done, removed, total) end
  return i
end
local function save_states(msk, args, i)
  local n = tonumber(args[i])
  if n > 0 then each_part(args, i + 1, i + 2 * n, function(...) redis.call('HSET', msk, ...) end) end
  return i + 1 + 2 * n
end
local function push_replies(keys, k, args, i)
  local lists = tonumber(args[i])
  i = i + 1
  for list = k, k + lists - 1 do
    local replies, m = keys[list], tonumber(args[i + 1])
    each_part(args, i + 2, i + 1 + m, function(...) redis.pcall('RPUSH', replies, ...) end) -- (if it is no list, its client hears so)
    redis.call('PEXPIRE', replies, args[i])
    i = i + 2 + m
  end
  return i, k + lists
end
