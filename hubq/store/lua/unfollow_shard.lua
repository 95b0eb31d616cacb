-- A node follows a shard no more. With nobody left, the log goes, and commits write none.
-- KEYS: replicas, log
-- ARGV: node, incarnation
-- Returns: "left" | "gone"
local line = redis.call('HGET', KEYS[1], ARGV[1])
if not line or string.match(line, '^(%d+) ') ~= ARGV[2] then return 'gone' end
redis.call('HDEL', KEYS[1], ARGV[1])
if redis.call('HLEN', KEYS[1]) <= 1 then redis.call('DEL', KEYS[1], KEYS[2]) end
return 'left'
