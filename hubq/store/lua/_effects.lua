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
-- include: _handled
-- include: _ended
-- include: _said
-- include: _log
-- include: _letters
local function apply_effects(keys, k, args, i, last)
  local mailbox, children, msk, backlog, parked = keys[k], keys[k + 1], keys[k + 2], keys[k + 3], keys[k + 4]
  k = k + 5
  if args[i] == 'letters' then k, i = bury_letters(mailbox, keys, k, args, i + 1) end
  i = save_states(msk, args, remove_done(mailbox, backlog, args, i))
  local n = tonumber(args[i])
  each_part(args, i + 1, i + n, function(...) redis.call('HDEL', msk, ...) end)
  i = i + 1 + n
  local feeds
  i, k, feeds = end_children(keys, k, args, i, children, msk, parked)
  n = tonumber(args[i])
  for at = i + 1, i + 2 * n, 2 do
    local child, reason = args[at], args[at + 1]
    if reason == '' then redis.call('HDEL', parked, child) else redis.call('HSET', parked, child, reason) end
  end
  i, k = push_replies(keys, k, args, i + 1 + 2 * n)
  i, k, n = put_said(keys, k, args, i) -- n: held
  end_feeds(feeds)
  if i <= last then append_log(keys[k], keys[k + 1], args, i, last) end
  return n
end
