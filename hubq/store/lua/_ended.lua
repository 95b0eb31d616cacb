-- end_children(keys, k, args, i, children, msk, parked): n children have ended, unless they were started anew since. -> i, k, ends
-- Takes from keys[k] on, if n > 0: pins, pins epoch, stragglers, drafts, then the feed of each child
-- Reads from args[i] on: n, then n times: child, start id ('': its spec is malformed)
-- ends: the feeds of those that have ended (see _feeds), for the time when all that they say is written.
local function end_children(keys, k, args, i, children, msk, parked)
  local n, ends = tonumber(args[i]), {}
  if n == 0 then return i + 1, k, ends end
  local pins, pins_epoch, stragglers, drafts = keys[k], keys[k + 1], keys[k + 2], keys[k + 3]
  for j = 1, n do
    local child, start_id = args[i + 2 * j - 1], args[i + 2 * j]
    local spec = redis.call('HGET', children, child)
    local is_meant = spec and string.find(spec, '"start_id":"' .. start_id .. '"', 1, true)
    if is_meant or (spec and start_id == '' and not string.find(spec, '"start_id":"', 1, true)) then
      redis.call('HDEL', children, child)
      redis.call('HDEL', msk, child)
      redis.call('HDEL', parked, child)
      if redis.call('HDEL', pins, child) == 1 then redis.call('INCR', pins_epoch) end
      redis.call('HDEL', stragglers, child)
      ends[#ends + 1] = {feed = keys[k + 3 + j], drafts = drafts, child = child}
    end
  end
  return i + 1 + 2 * n, k + 4 + n, ends
end
