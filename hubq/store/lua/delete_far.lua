-- Deletes messages to children of another group that have arrived there.
-- KEYS: stream
-- ARGV: their entries
-- Returns: how many are left
redis.call('XDEL', KEYS[1], unpack(ARGV))
local left = redis.call('XLEN', KEYS[1])
if left == 0 then redis.call('DEL', KEYS[1]) end
return left
