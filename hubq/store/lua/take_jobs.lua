-- Deletes jobs from the stream of a shard that are in RQ by now. For one with a key, the message to its child goes into the outbox.
-- Asked by whoever has put them there; what is gone already is passed over.
-- KEYS: jobs, outbox, outbox waiting
-- ARGV: per job: entry, target shard ('' = it has no key), sender, child, method, payload, spec
-- Returns: how many jobs are left
-- include: _one_more
-- include: _types
streams(KEYS[2])
hashes(KEYS[3])
for i = 1, #ARGV, 7 do
  if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 and ARGV[i + 1] ~= '' then
    redis.call('XADD', KEYS[2], '*', 'shard', ARGV[i + 1], 'sender', ARGV[i + 2], 'child', ARGV[i + 3], 'method', ARGV[i + 4],
      'payload', ARGV[i + 5], 'spec', ARGV[i + 6])
    one_more(KEYS[3], ARGV[i + 3])
  end
end
local left = redis.call('XLEN', KEYS[1])
if left == 0 then redis.call('DEL', KEYS[1]) end
return left
