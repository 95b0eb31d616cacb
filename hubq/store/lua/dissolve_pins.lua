-- Gives children back to their shard whose pin's owner is no longer a member. Asked by the shard's owner.
-- KEYS: owners, nodes
-- ARGV: shard, line of the shard's owner, then the pinned children
-- Returns: "fenced" alone, or the children whose pin is gone now
-- include: _owner
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {'fenced'} end
local freed = {'ok'}
for i = 3, #ARGV do
  local field = ARGV[1] .. '/' .. ARGV[i]
  local line = redis.call('HGET', KEYS[1], field)
  local node, incarnation = split_owner(line)
  if not line or not alive(KEYS[2], node, incarnation) then
    redis.call('HDEL', KEYS[1], field)
    freed[#freed + 1] = ARGV[i]
  end
end
return freed
