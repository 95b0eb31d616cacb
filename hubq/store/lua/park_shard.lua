-- Nobody is left to take a shard: the last commit of its owner, which then owns it no more.
-- KEYS: owners, events, then of the effects (see _effects)
-- ARGV: owner field, owner line, node, kept events, then effects
-- Returns: "parked" | "fenced"
-- include: _tell
-- include: _owner
-- include: _effects
local line = redis.call('HGET', KEYS[1], ARGV[1])
local _, _, token = split_owner(ARGV[2])
local pin = string.find(ARGV[1], '/', 1, true)
local after = '- 0 ' .. token
if line == after or (pin and not line) then return 'parked' end
if line ~= ARGV[2] then return 'fenced' end
apply_effects(KEYS, 3, ARGV, 5, #ARGV)
if pin then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], after) end
tell(KEYS[2], ARGV[4], 'type', 'shard_parked', 'node', ARGV[3], 'shard', ARGV[1])
return 'parked'
