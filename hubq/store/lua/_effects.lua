-- apply_effects(args, i, last): what a commit changes, idempotent. Reads from args[i] to args[last]:
--   mailbox, children, msk, backlog, parked: keys
--   n, then n times: child, m, m entry ids               messages that are done
--   n, then n times: child, state                        states to save
--   n, then n times: child                               states to forget (handover=false)
--   n, then n times: child, start id                     children that have ended (unless started anew since)
--   n, then n times: child, reason                       children that are parked ('' = no longer)
--   n, then n times: reply key, ttl ms, m, m payloads    replies
--   and at the end, only with replication: 'log', log key, replicas key, entries kept,
--   then kind, child, entry, method, word, payload of each
-- include: _backlog
local function append_log(args, i, last)
  local log, replicas, kept = args[i], args[i + 1], args[i + 2]
  local number = tonumber(redis.call('HGET', replicas, '#'))
  if not number then return end -- nobody follows
  for k = i + 3, last, 6 do
    number = number + 1
    redis.call('XADD', log, 'MAXLEN', '~', kept, '*', 'n', string.format('%d', number), 'kind', args[k],
      'child', args[k + 1], 'entry', args[k + 2], 'method', args[k + 3], 'word', args[k + 4], 'payload', args[k + 5])
  end
  redis.call('HSET', replicas, '#', string.format('%d', number))
  redis.call('PEXPIRE', log, 3600000)
end
local function apply_effects(args, i, last)
  local mailbox, children, msk, backlog, parked = args[i], args[i + 1], args[i + 2], args[i + 3], args[i + 4]
  i = i + 5
  local function count() i = i + 1; return tonumber(args[i - 1]) end
  local function take() i = i + 1; return args[i - 1] end
  local names, done, entries, removed = {}, {}, {}, 0
  for k = 1, count() do
    names[k], done[k] = take(), count()
    for j = i, i + done[k] - 1 do entries[#entries + 1] = args[j] end
    i = i + done[k]
  end
  -- A script that has written once may go on when the memory is full: commits make room.
  if #entries == 0 then redis.call('XDEL', mailbox, '0-0') end
  each_part(entries, 1, #entries, function(...) removed = removed + redis.call('XDEL', mailbox, ...) end)
  if removed > 0 then backlog_less(mailbox, backlog, names, done, removed, #entries) end
  local n = count()
  each_part(args, i, i + 2 * n - 1, function(...) redis.call('HSET', msk, ...) end)
  i = i + 2 * n
  n = count()
  each_part(args, i, i + n - 1, function(...) redis.call('HDEL', msk, ...) end)
  i = i + n
  for _ = 1, count() do
    local child, start_id = take(), take()
    local spec = redis.call('HGET', children, child)
    if spec and string.find(spec, '"start_id":"' .. start_id .. '"', 1, true) then
      redis.call('HDEL', children, child)
      redis.call('HDEL', msk, child)
      redis.call('HDEL', parked, child)
      local hub = string.match(children, '^.*}:')
      if redis.call('HDEL', hub .. 'pins', child) == 1 then redis.call('INCR', hub .. 'pins_epoch') end
      redis.call('HDEL', hub .. 'stragglers', child)
    end
  end
  for _ = 1, count() do
    local child, reason = take(), take()
    if reason == '' then redis.call('HDEL', parked, child) else redis.call('HSET', parked, child, reason) end
  end
  for _ = 1, count() do
    local key, ttl, m = take(), take(), count()
    each_part(args, i, i + m - 1, function(...) redis.call('RPUSH', key, ...) end)
    redis.call('PEXPIRE', key, ttl)
    i = i + m
  end
  if i <= last then append_log(args, i + 1, last) end
end
