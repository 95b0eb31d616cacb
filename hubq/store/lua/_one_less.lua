-- one_less(hash, child): one message less waits for the child (see _waiting).
-- include: _waiting
local function one_less(hash, child)
  local left = waiting_for(hash, child) - 1
  redis.call('HSET', hash, child, string.format('%d', left))
  if left <= 0 then redis.call('HDEL', hash, child) end
end
