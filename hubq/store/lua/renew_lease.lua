-- Prolongs a node's lease, and tells it what it needs to know of the others.
-- KEYS: nodes, leases, epoch
-- ARGV: node, incarnation, lease ms
-- Returns: {"ok", now ms, epoch, ms until the next lease ends, expired nodes...} | {"evicted", now ms}
-- include: _time
-- include: _owner
local now = now_ms()
if not alive(KEYS[1], ARGV[1], ARGV[2]) then return {'evicted', integer(now)} end
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[1])
local expired = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)
local next_end = redis.call('ZRANGE', KEYS[2], #expired, #expired, 'WITHSCORES')
return {'ok', integer(now), redis.call('GET', KEYS[3]) or '0', integer(tonumber(next_end[2]) - now), unpack(expired)}
