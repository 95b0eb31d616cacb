-- Deletes jobs from the stream of a shard that are in RQ by now. For one with a key, the message to its child goes into the outbox.
-- Asked by whoever has put them there; what is gone already is passed over.
-- KEYS: jobs, outbox, outbox waiting, then for each message to another group: stream, number
-- ARGV: per job: entry, target shard ('' = it has no key), sender, child, method, payload, spec, which of KEYS the stream is ('' = its
--       child is in this group), generation
-- Returns: how many jobs are left
-- include: _one_more
-- include: _types
-- include: _far
streams(KEYS[2])
hashes(KEYS[3])
for k = 4, #KEYS, 2 do
  streams(KEYS[k])
  numbers(KEYS[k + 1])
end
for i = 1, #ARGV, 9 do
  local shard, sender, child, method = ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local payload, spec, far = ARGV[i + 5], ARGV[i + 6], tonumber(ARGV[i + 7])
  if redis.call('XDEL', KEYS[1], ARGV[i]) == 1 and shard ~= '' then
    if far then
      put_far(KEYS[far], KEYS[far + 1], shard, ARGV[i + 8], sender, child, method, payload, spec)
    else
      redis.call('XADD', KEYS[2], '*', 'shard', shard, 'sender', sender, 'child', child, 'method', method, 'payload', payload,
        'spec', spec)
      one_more(KEYS[3], child)
    end
  end
end
local left = redis.call('XLEN', KEYS[1])
if left == 0 then redis.call('DEL', KEYS[1]) end
return left
