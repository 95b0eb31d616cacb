-- Children go to rest: spec and state of each move to the dormant children of the shard, unless a message waits for it, or it is wanted
-- on some node.
-- KEYS: owners, then of the shard: children, msk, dormant, expiring, backlog; pins (only looked up)
-- ARGV: owner field, owner line, then per child: child, its start id, when it expires (ms of Redis TIME; '' = never)
-- Returns: "fenced" alone, or per child "dormant" (also if it was already) | "busy" (a message waits, it has a wish, or it is another child)
-- include: _types
-- include: _dormant
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {'fenced'} end
hashes(KEYS[3])
zsets(KEYS[5])
local answers = {}
for i = 3, #ARGV, 3 do
  local child, start_id, expires = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local spec = redis.call('HGET', KEYS[2], child)
  local answer = 'busy'
  if not spec then
    if redis.call('HEXISTS', KEYS[4], child) == 1 then answer = 'dormant' end
  elseif redis.call('HEXISTS', KEYS[6], child) == 0 and redis.call('HEXISTS', KEYS[7], child) == 0 and string.find(spec, '"start_id":"' .. start_id .. '"', 1, true) then
    redis.call('HSET', KEYS[4], child, joined(spec, redis.call('HGET', KEYS[3], child) or ''))
    redis.call('HDEL', KEYS[2], child)
    redis.call('HDEL', KEYS[3], child)
    if expires ~= '' then redis.call('ZADD', KEYS[5], expires, child) end
    answer = 'dormant'
  end
  answers[#answers + 1] = answer
end
return answers
