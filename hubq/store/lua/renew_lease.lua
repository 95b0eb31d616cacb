-- Prolongs a node's lease, and tells it what it needs to know of the others.
-- KEYS: nodes, leases, epoch, events
-- ARGV: node, incarnation, lease ms, highest epoch the node knows, end of the lease it was granted last
-- Returns: {"ok", now ms, epoch, ms until the next lease ends, expired nodes...} | {"evicted", now ms} |
--          {"went_back", now ms, epoch}
-- include: _time
-- include: _owner
-- include: _told_epoch
local now = now_ms()
local epoch = told_epoch(KEYS[3], KEYS[4])
if epoch < tonumber(ARGV[4]) then return {'went_back', integer(now), integer(epoch)} end
if not alive(KEYS[1], ARGV[1], ARGV[2]) then return {'evicted', integer(now)} end
local granted = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or 0)
if granted < tonumber(ARGV[5]) then return {'went_back', integer(now), integer(epoch)} end
-- A script that has written once may go on when the memory is full: a lease must be kept then, too.
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[1])
local expired = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)
local next_end = redis.call('ZRANGE', KEYS[2], #expired, #expired, 'WITHSCORES')
-- (Somebody else may have written the score "inf".)
local left = math.min(tonumber(next_end[2]) - now, 86400000)
return {'ok', integer(now), integer(epoch), integer(left), unpack(expired)}
