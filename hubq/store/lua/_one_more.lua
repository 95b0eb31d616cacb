-- one_more(hash, child): one more message waits for the child (see _waiting).
-- include: _waiting
local function one_more(hash, child) redis.call('HSET', hash, child, string.format('%d', waiting_for(hash, child) + 1)) end
