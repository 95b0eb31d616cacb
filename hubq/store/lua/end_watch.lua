-- The children of a shard have started well after a crash. Once every message of that time is done, the watch is over.
-- KEYS: owners, tries, mailbox
-- ARGV: owner field, owner line
-- Returns: "over" | "watching" | "fenced"
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 'fenced' end
local watch = redis.call('HGET', KEYS[2], 'watch')
if not watch then
  redis.call('DEL', KEYS[2])  -- the crash was none after all: what was marked since means nothing
  return 'over'
end
local last, crashes = string.match(watch, '^(%d+%-%d+) %S+ (.*)$')
if last and redis.call('XRANGE', KEYS[3], '-', last, 'COUNT', 1)[1] then
  redis.call('HSET', KEYS[2], 'watch', last .. ' open ' .. crashes)
  return 'watching'
end
redis.call('DEL', KEYS[2])
return 'over'
