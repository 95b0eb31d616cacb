-- Gives children of a shard to another node: each becomes a pin there. The shard stays, with a new token, so that no late
-- commit of it can touch the children that have gone.
-- KEYS: owners, nodes, leases, events, control mailbox of the target, stragglers, then of the effects (see _effects)
-- ARGV: shard, source line, target node, target incarnation, handover id, closed at (Redis ms), source node, kept events,
--       n, then n children; then effects
-- Returns: "passed" | "fenced" | "target_gone"
-- include: _tell
-- include: _time
-- include: _owner
-- include: _effects
local field, source, target, incarnation = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local line = redis.call('HGET', KEYS[1], field)
local node, own, token = split_owner(source)
local next_token = integer(tonumber(token) + 1)
local after = node .. ' ' .. own .. ' ' .. next_token
if line == after then return 'passed' end
if line ~= source then return 'fenced' end
local lease = redis.call('ZSCORE', KEYS[3], target)
if not lease or tonumber(lease) <= now_ms() or not alive(KEYS[2], target, incarnation) then return 'target_gone' end
local count = tonumber(ARGV[9])
hashes(KEYS[6])
apply_effects(KEYS, 7, ARGV, 10 + count, #ARGV)
redis.call('HSET', KEYS[1], field, after)
local children = {}
for i = 10, 9 + count do
  redis.call('HSET', KEYS[1], field .. '/' .. ARGV[i], target .. ' ' .. incarnation .. ' ' .. next_token)
  redis.call('HDEL', KEYS[6], ARGV[i])
  children[#children + 1] = ARGV[i]
end
tell(KEYS[5], 10000, 'kind', 'children_passed', 'from', ARGV[7], 'shard', field,
  'token', next_token, 'handover_id', ARGV[5], 'closed_at', ARGV[6], 'children', table.concat(children, '\n'))
redis.call('PEXPIRE', KEYS[5], 3600000)
tell(KEYS[4], ARGV[8], 'type', 'children_passed', 'node', ARGV[7], 'shard', field,
  'target', target, 'token', next_token, 'children', integer(count))
return 'passed'
