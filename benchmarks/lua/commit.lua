-- What a batch has done, at once or not at all: its messages are deleted, states saved, replies pushed.
-- KEYS: owner, states, then streams, then lists of replies
-- ARGV: token, how many streams; for each: how many entries, and those; how many states; for each: object, state; then for
--       each list of replies its reply
-- Returns: "ok", or "fenced": another one owns the objects
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'fenced' end
local i, k = 3, 3
for _ = 1, tonumber(ARGV[2]) do
  local n = tonumber(ARGV[i])
  redis.call('XDEL', KEYS[k], unpack(ARGV, i + 1, i + n))
  i, k = i + n + 1, k + 1
end
local states = tonumber(ARGV[i])
if states > 0 then redis.call('HSET', KEYS[2], unpack(ARGV, i + 1, i + 2 * states)) end
for m = i + 2 * states + 1, #ARGV do
  redis.call('RPUSH', KEYS[k], ARGV[m])
  k = k + 1
end
return 'ok'
