-- Writes the hub's fixed settings if it is new, else compares.
-- KEYS: config
-- ARGV: shards, wire version
-- Returns: {"ok"} | {"mismatch", shards, wire}
redis.call('HSETNX', KEYS[1], 'shards', ARGV[1])
redis.call('HSETNX', KEYS[1], 'wire', ARGV[2])
local set = redis.call('HMGET', KEYS[1], 'shards', 'wire')
if set[1] ~= ARGV[1] or set[2] ~= ARGV[2] then return {'mismatch', set[1], set[2]} end
return {'ok'}
