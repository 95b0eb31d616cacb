-- A node begins to follow a shard: every commit after this one is written to the log.
-- KEYS: nodes, replicas, log
-- ARGV: node, incarnation, ttl ms
-- Returns: {"following", number of the last log entry, its id ("0": none)} | {"gone"}
-- include: _time
-- include: _owner
if not alive(KEYS[1], ARGV[1], ARGV[2]) then return {'gone'} end
-- Numbers go on from the time, so that a log that has expired and begins anew is not taken for the old one.
redis.call('HSETNX', KEYS[2], '#', integer(now_ms()))
local number = redis.call('HGET', KEYS[2], '#')
local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)
local entry = last[1] and last[1][1] or '0'
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. number .. ' ' .. entry .. ' building')
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('PEXPIRE', KEYS[3], ARGV[3] * 2)
return {'following', number, entry}
