-- Says in the config of a group that its hub is moved: no node joins any more, and no client begins.
-- KEYS: config, leases
-- ARGV: what the config says (wire) | '' (anything), what it says from now on
-- Returns: {"ok"} (now, or before) | {"other", wire} | {"served", the nodes whose leases live}
-- include: _time
local wire = redis.call('HGET', KEYS[1], 'wire')
if wire == ARGV[2] then return {'ok'} end
if wire ~= ARGV[1] then return {'other', wire or ''} end
local served = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. integer(now_ms()), '+inf')
if #served > 0 then return {'served', unpack(served)} end
redis.call('HSET', KEYS[1], 'wire', ARGV[2])
return {'ok'}
