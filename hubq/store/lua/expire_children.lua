-- Ends dormant children of a shard whose time has come, unless a message waits for them.
-- KEYS: owners, then of the shard: children, msk, dormant, expiring, backlog
-- ARGV: owner field, owner line, most children at once
-- Returns: "fenced" alone, or "ok", ms until the next one expires (-1: there is none), then the children that have ended
-- include: _time
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {'fenced'} end
local now, ended = now_ms(), {}
for _, child in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', integer(now), 'LIMIT', 0, ARGV[3])) do
  redis.call('ZREM', KEYS[5], child) -- one for which a message waits is about to wake
  if redis.call('HEXISTS', KEYS[6], child) == 0 and redis.call('HDEL', KEYS[4], child) == 1 then ended[#ended + 1] = child end
end
local first = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
local left = first[2] and integer(math.max(0, math.ceil(tonumber(first[2]) - now))) or '-1'
return {'ok', left, unpack(ended)}
