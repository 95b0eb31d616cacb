-- A pinned child returns to its shard: the pin's last commit, and the news for the shard's owner.
-- KEYS: owners, events, stragglers, then of the effects (see _effects), then the control mailbox of the node that is named
-- ARGV: shard, child, pin line, closed at (Redis ms), node, kept events, how many nodes are named (0|1), the node named;
--       then effects
-- Returns: {"released"} | {"fenced"} | {"needs", node}: the shard's owner (see _named)
-- include: _tell
-- include: _time
-- include: _owner
-- include: _named
-- include: _effects
local field, named = ARGV[1] .. '/' .. ARGV[2], tonumber(ARGV[7])
if redis.call('HGET', KEYS[1], field) ~= ARGV[3] then return {'fenced'} end
local owner, controls = split_owner(redis.call('HGET', KEYS[1], ARGV[1])), named_keys(8, 7 + named, #KEYS)
local needs = owner ~= '-' and lacking(controls, {owner})
if needs then return needs end
hashes(KEYS[3])
apply_effects(KEYS, 4, ARGV, 8 + named, #ARGV)
redis.call('HDEL', KEYS[1], field)
redis.call('HDEL', KEYS[3], ARGV[2])
if owner ~= '-' then
  tell(controls[owner], 10000, 'kind', 'pin_released',
    'from', ARGV[5], 'shard', ARGV[1], 'child', ARGV[2], 'closed_at', ARGV[4])
  redis.call('PEXPIRE', controls[owner], 3600000)
end
tell(KEYS[2], ARGV[6], 'type', 'pin_released', 'node', ARGV[5], 'shard', ARGV[1],
  'child', ARGV[2], 'target', owner)
return {'released'}
