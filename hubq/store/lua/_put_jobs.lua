-- put_jobs(keys, k, args, i, last): jobs that children of this shard enqueue wait until they are in RQ. -> false (nothing is held)
--   keys[k]: the jobs of the shard; args[i] to args[last]: per job: sender, id, its key ('' = none), record
local function put_jobs(keys, k, args, i, last)
  for at = i, last, 4 do
    redis.call('XADD', keys[k], '*', 'sender', args[at], 'id', args[at + 1], 'key', args[at + 2], 'record', args[at + 3])
  end
  return false
end
