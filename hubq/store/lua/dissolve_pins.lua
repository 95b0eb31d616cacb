-- Gives children back to their shard whose pin's owner is no longer a member. Asked by the shard's owner.
-- KEYS: owners, nodes, events
-- ARGV: shard, line of the shard's owner, kept events, then the pinned children
-- Returns: "fenced" alone, or the children whose pin is gone now
-- include: _owner
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {'fenced'} end
local freed = {'ok'}
for i = 4, #ARGV do
  local field = ARGV[1] .. '/' .. ARGV[i]
  local line = redis.call('HGET', KEYS[1], field)
  local node, incarnation = split_owner(line)
  if not line or not alive(KEYS[2], node, incarnation) then
    redis.call('HDEL', KEYS[1], field)
    freed[#freed + 1] = ARGV[i]
  end
end
if #freed > 1 then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'type', 'pins_dissolved', 'shard', ARGV[1])
end
return freed
