-- append_log(log, replicas, args, i, last): what a commit did, for the followers of the shard: args[i] entries are kept, then
-- kind, child, entry, method, word, payload of each, up to args[last].
local function append_log(log, replicas, args, i, last)
  local kept = args[i]
  local number = tonumber(redis.call('HGET', replicas, '#'))
  if not number then return end -- nobody follows
  for k = i + 1, last, 6 do
    number = number + 1
    redis.call('XADD', log, 'MAXLEN', '~', kept, '*', 'n', string.format('%d', number), 'kind', args[k],
      'child', args[k + 1], 'entry', args[k + 2], 'method', args[k + 3], 'word', args[k + 4], 'payload', args[k + 5])
  end
  redis.call('HSET', replicas, '#', string.format('%d', number))
  redis.call('PEXPIRE', log, 3600000)
end
