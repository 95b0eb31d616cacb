-- Gives a shard to another node: the last commit of the source and the change of owner, in one.
-- KEYS: owners, nodes, leases, events, control mailbox of the target, stragglers, then of the effects (see _effects)
-- ARGV: shard, source line, target node, target incarnation, handover id, closed at (Redis ms), source node, kept events,
--       the children of the shard that have a pin already (one per line), n, then n times: pinned child, why ('' = it is
--       wanted there); then effects
-- Returns: "passed" | "fenced" | "target_gone"
-- include: _tell
-- include: _time
-- include: _owner
-- include: _effects
local field, source, target, incarnation = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local line = redis.call('HGET', KEYS[1], field)
local node, own, token = split_owner(source)
local next_token = integer(tonumber(token) + 1)
local wanted = target .. ' ' .. incarnation .. ' ' .. next_token
if line == wanted then return 'passed' end
if line ~= source then return 'fenced' end
local lease = redis.call('ZSCORE', KEYS[3], target)
if not lease or tonumber(lease) <= now_ms() or not alive(KEYS[2], target, incarnation) then return 'target_gone' end
local pins, pinned = tonumber(ARGV[10]), {ARGV[9] ~= '' and ARGV[9] or nil}
hashes(KEYS[6])
apply_effects(KEYS, 7, ARGV, 11 + 2 * pins, #ARGV)
redis.call('HSET', KEYS[1], field, wanted)
for i = 11, 10 + 2 * pins, 2 do
  pinned[#pinned + 1] = ARGV[i]
  redis.call('HSET', KEYS[1], field .. '/' .. ARGV[i], node .. ' ' .. own .. ' ' .. next_token)
  if ARGV[i + 1] ~= '' then redis.call('HSET', KEYS[6], ARGV[i], ARGV[i + 1]) end
end
tell(KEYS[5], 10000, 'kind', 'handover', 'from', ARGV[7], 'shard', field,
  'token', next_token, 'handover_id', ARGV[5], 'closed_at', ARGV[6],
  'pins', table.concat(pinned, '\n'))
redis.call('PEXPIRE', KEYS[5], 3600000)
tell(KEYS[4], ARGV[8], 'type', 'token_passed', 'node', ARGV[7], 'shard', field,
  'target', target, 'token', next_token, 'pinned', integer(pins))
return 'passed'
