-- Messages of one sender, each once: what comes again after a lost answer is known by its number.
-- KEYS: sender, then streams
-- ARGV: first number, then for each message: the stream it goes to (2: KEYS[2]), object, method, payload, reply list
-- Returns: "ok", or "duplicate"
local first, last = tonumber(ARGV[1]), tonumber(redis.call('GET', KEYS[1]) or 0)
if first <= last then return 'duplicate' end
for i = 2, #ARGV, 5 do
  redis.call('XADD', KEYS[tonumber(ARGV[i])], '*', 'c', ARGV[i + 1], 'm', ARGV[i + 2], 'p', ARGV[i + 3], 'r', ARGV[i + 4])
end
redis.call('SET', KEYS[1], first + (#ARGV - 1) / 5 - 1, 'EX', 3600)
return 'ok'
