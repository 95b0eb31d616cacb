-- A pinned child returns to its shard: the pin's last commit, and the news for the shard's owner.
-- KEYS: owners, events, stragglers
-- ARGV: shard, child, pin line, prefix of control mailboxes, closed at (Redis ms), node, kept events; then effects
-- Returns: "released" | "fenced"
-- include: _time
-- include: _owner
-- include: _effects
local field = ARGV[1] .. '/' .. ARGV[2]
if redis.call('HGET', KEYS[1], field) ~= ARGV[3] then return 'fenced' end
apply_effects(ARGV, 8, #ARGV)
redis.call('HDEL', KEYS[1], field)
redis.call('HDEL', KEYS[3], ARGV[2])
local owner = split_owner(redis.call('HGET', KEYS[1], ARGV[1]))
if owner ~= '-' then
  local control = ARGV[4] .. owner .. ':mailbox'
  redis.call('XADD', control, 'MAXLEN', '~', 10000, '*', 'kind', 'pin_released',
    'from', ARGV[6], 'shard', ARGV[1], 'child', ARGV[2], 'closed_at', ARGV[5])
  redis.call('PEXPIRE', control, 3600000)
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[7], '*', 'type', 'pin_released', 'node', ARGV[6], 'shard', ARGV[1],
  'child', ARGV[2], 'target', owner)
return 'released'
