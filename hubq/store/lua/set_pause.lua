-- Begins a pause of the hub, of a class or of a child, or ends it. Nodes hear of it by the event.
-- KEYS: pauses, events, children and dormant children of the shard of the child
-- ARGV: field of the pause, "begin" or "end", why, child ('' = it is none of a child), kept events
-- Returns: {"ok" | "unchanged" | "unknown" (there is no such child), the number of the last change}
-- include: _tell
-- include: _time
local number = tonumber(redis.call('HGET', KEYS[1], '#') or 0) or 0
local begins, there = ARGV[2] == 'begin', redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1
if begins and ARGV[4] ~= '' and redis.call('HEXISTS', KEYS[3], ARGV[4]) == 0 and redis.call('HEXISTS', KEYS[4], ARGV[4]) == 0 then
  return {'unknown', number}
end
if begins == there then return {'unchanged', number} end
local now = now_ms()
number = math.max(number + 1, now)
redis.call('HSET', KEYS[1], '#', integer(number))
if begins then
  redis.call('HSET', KEYS[1], ARGV[1], integer(now) .. ' ' .. ARGV[3])
  redis.call('PERSIST', KEYS[1])
  tell(KEYS[2], ARGV[5], 'type', 'paused', 'what', ARGV[1], 'why', ARGV[3])
else
  redis.call('HDEL', KEYS[1], ARGV[1])
  -- (The number must not go back while a node may remember it.)
  if redis.call('HLEN', KEYS[1]) == 1 then redis.call('PEXPIRE', KEYS[1], 3600000) end
  tell(KEYS[2], ARGV[5], 'type', 'resumed', 'what', ARGV[1])
end
return {'ok', integer(number)}
