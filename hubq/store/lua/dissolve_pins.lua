-- Gives children back to their shard whose pin's owner is no longer a member. Asked by the shard's owner.
-- KEYS: owners, nodes, events, stragglers, seven of the shard (see _shard), then the reply list of each caller
-- ARGV: shard, line of the shard's owner, kept events, kept dead letters, reply ttl ms, how many callers, the callers,
--       then the pinned children
-- Returns: "fenced" alone, or "ok" and then the children whose pin is gone now; or "needs" and then callers (see _named)
-- include: _tell
-- include: _owner
-- include: _named
-- include: _shard
-- include: _convict
-- include: _counting
-- include: _crash
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {'fenced'} end
hashes(KEYS[4])
local callers = tonumber(ARGV[6])
local hub = {nodes = KEYS[2], events = KEYS[3], kept = ARGV[3], letters = ARGV[4], reply_ttl = ARGV[5],
  replies = named_keys(7, 6 + callers, 12)}
local at, freed, seen, crashes = shard_keys(ARGV[1], 5), {'ok'}, {}, {}
for i = 7 + callers, #ARGV do
  local line = redis.call('HGET', KEYS[1], ARGV[1] .. '/' .. ARGV[i])
  local node, incarnation = split_owner(line)
  if not line or not alive(KEYS[2], node, incarnation) then
    freed[#freed + 1] = ARGV[i]
    if node ~= '-' and not seen[node] then
      seen[node] = true
      crashes[#crashes + 1] = crash_of(hub, at, node, incarnation)
    end
  end
end
local needs = lacking(hub.replies, callers_of(crashes))
if needs then return needs end
for n = 2, #freed do
  redis.call('HDEL', KEYS[1], ARGV[1] .. '/' .. freed[n])
  redis.call('HDEL', KEYS[4], freed[n])
end
for _, crash in ipairs(crashes) do write_crash(hub, crash) end
if #freed > 1 then
  tell(KEYS[3], ARGV[3], 'type', 'pins_dissolved', 'shard', ARGV[1])
end
return freed
