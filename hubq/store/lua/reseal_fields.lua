-- Writes fields of a hash anew that have not changed since they were read: the same, sealed with another key.
-- KEYS: the children, states or dormant children of a shard
-- ARGV: n times: field, what stood there, what is to stand there
-- Returns: how many were written
local written = 0
for i = 1, #ARGV, 3 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
    written = written + 1
  end
end
return written
