-- Gives children back to their shard whose pin's owner is no longer a member. Asked by the shard's owner.
-- KEYS: owners, nodes, events, stragglers
-- ARGV: shard, line of the shard's owner, kept events, prefix of keys, kept dead letters, reply ttl ms,
--       then the pinned children
-- Returns: "fenced" alone, or "ok" and then the children whose pin is gone now
-- include: _owner
-- include: _convict
-- include: _crash
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {'fenced'} end
local hub = {ARGV[4], KEYS[2], KEYS[3], ARGV[3], ARGV[5], ARGV[6]}
local freed, counted = {'ok'}, {}
for i = 7, #ARGV do
  local field = ARGV[1] .. '/' .. ARGV[i]
  local line = redis.call('HGET', KEYS[1], field)
  local node, incarnation = split_owner(line)
  if not line or not alive(KEYS[2], node, incarnation) then
    redis.call('HDEL', KEYS[1], field)
    redis.call('HDEL', KEYS[4], ARGV[i])
    freed[#freed + 1] = ARGV[i]
    if node ~= '-' and not counted[node] then
      counted[node] = true
      after_crash(hub, ARGV[1], node, incarnation)
    end
  end
end
if #freed > 1 then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'type', 'pins_dissolved', 'shard', ARGV[1])
end
return freed
