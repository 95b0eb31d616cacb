-- A node becomes a member; its incarnation is the new epoch.
-- KEYS: nodes, leases, epoch, events, config
-- ARGV: node, info as JSON text without its outer braces, lease ms, kept events, shards, wire version
-- Returns: {"ok", incarnation, now ms} | {"name_taken", end of the lease ms, now ms} | {"mismatch", shards, wire}
-- include: _time
redis.call('HSETNX', KEYS[5], 'shards', ARGV[5])
redis.call('HSETNX', KEYS[5], 'wire', ARGV[6])
local set = redis.call('HMGET', KEYS[5], 'shards', 'wire')
if set[1] ~= ARGV[5] or set[2] ~= ARGV[6] then return {'mismatch', set[1], set[2]} end
local now = now_ms()
local lease = redis.call('ZSCORE', KEYS[2], ARGV[1])
if lease and tonumber(lease) > now then return {'name_taken', integer(tonumber(lease)), integer(now)} end
local epoch = integer(redis.call('INCR', KEYS[3]))
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1],
  '{"incarnation":' .. epoch .. ',"status":"up","joined_at":' .. integer(now) .. ',' .. ARGV[2] .. '}')
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[4], '*', 'type', 'node_joined', 'node', ARGV[1], 'epoch', epoch)
return {'ok', epoch, integer(now)}
