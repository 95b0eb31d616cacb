-- What children of a shard have told of their progress. It is no state: an earlier owner may write, but never over a later one.
-- KEYS: progress, children
-- ARGV: ttl ms, then for each child: its name, the token of its shard, what it has told ("": it has ended)
-- Returns: how many were written
local written = 0
for i = 2, #ARGV, 3 do
  local child, token, told = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local before = redis.call('HGET', KEYS[1], child)
  if not before or (tonumber(string.match(before, '^(%d+) ')) or 0) <= token then
    if told == '' or redis.call('HEXISTS', KEYS[2], child) == 0 then
      redis.call('HDEL', KEYS[1], child)
    else
      redis.call('HSET', KEYS[1], child, ARGV[i + 1] .. ' ' .. told)
      written = written + 1
    end
  end
end
-- A child whose node crashed while it ended leaves its line behind: some lines are looked at each time.
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, child in ipairs(redis.call('HRANDFIELD', KEYS[1], 8)) do
    if redis.call('HEXISTS', KEYS[2], child) == 0 then redis.call('HDEL', KEYS[1], child) end
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return written
