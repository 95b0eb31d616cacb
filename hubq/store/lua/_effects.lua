-- apply_effects(keys, k, args, i, last): what a commit changes, idempotent. -> held (see _said). Takes from keys[k] on:
--   mailbox, children, msk, backlog, parked
--   dead, the list of each class (see _letters); then those of children that have ended (see _ended): only if there are such
--   the reply list of each client
--   those of what is said (see _said), only if something is; log, replicas, only with replication
-- Reads from args[i] to args[last]:
--   "letters", then those (see _letters)                 only if messages become dead letters
--   n, then n times: child, m, m entry ids               messages that are done
--   n, then n times: child, state                        states to save
--   n, then n times: child                               states to forget (handover=false)
--   n, then n times: child, start id                     children that have ended (see _ended)
--   n, then n times: child, reason                       children that are parked ('' = no longer)
--   n, then n times: ttl ms, m, m payloads               replies
--   what its children say (see _said)                    messages to others, for example
--   and at the end, only with replication: entries kept, then kind, child, entry, method, word, payload of each
-- include: _backlog
-- include: _ended
-- include: _said
-- include: _log
-- include: _letters
local function apply_effects(keys, k, args, i, last)
  local mailbox, children, msk, backlog, parked = keys[k], keys[k + 1], keys[k + 2], keys[k + 3], keys[k + 4]
  k = k + 5
  if args[i] == 'letters' then k, i = bury_letters(backlog, mailbox, keys, k, args, i + 1) end
  local function count() i = i + 1; return tonumber(args[i - 1]) end
  local function take() i = i + 1; return args[i - 1] end
  local names, done, entries, removed = {}, {}, {}, 0
  for d = 1, count() do
    names[d], done[d] = take(), count()
    for j = i, i + done[d] - 1 do entries[#entries + 1] = args[j] end
    i = i + done[d]
  end
  local counts = backlog_of(backlog, names)
  -- A script that has written once may go on when the memory is full: commits make room.
  if #entries == 0 then redis.call('XDEL', mailbox, '0-0') end
  each_part(entries, 1, #entries, function(...) removed = removed + redis.call('XDEL', mailbox, ...) end)
  if removed > 0 then backlog_less(mailbox, backlog, names, counts, done, removed, #entries) end
  local n = count()
  each_part(args, i, i + 2 * n - 1, function(...) redis.call('HSET', msk, ...) end)
  i = i + 2 * n
  n = count()
  each_part(args, i, i + n - 1, function(...) redis.call('HDEL', msk, ...) end)
  i = i + n
  local feeds
  i, k, feeds = end_children(keys, k, args, i, last, children, msk, parked)
  for _ = 1, count() do
    local child, reason = take(), take()
    if reason == '' then redis.call('HDEL', parked, child) else redis.call('HSET', parked, child, reason) end
  end
  for _ = 1, count() do
    local replies, ttl, m = keys[k], take(), count()
    -- (A client of which the list is none hears of it when it reads.)
    each_part(args, i, i + m - 1, function(...) redis.pcall('RPUSH', replies, ...) end)
    redis.call('PEXPIRE', replies, ttl)
    i, k = i + m, k + 1
  end
  i, k, n = put_said(keys, k, args, i, last) -- n: held
  end_feeds(feeds)
  if i <= last then append_log(keys[k], keys[k + 1], args, i, last) end
  return n
end
