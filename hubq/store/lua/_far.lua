-- put_far(stream, number, shard, generation, sender, child, method, payload, spec): a message to a child of another group waits in
-- this group until it has been forwarded. Its number, and the generation of who has put it there, are fixed here.
-- put_all_far(keys, k, args, i, last): those of a commit. -> false: nothing is held back
-- Takes from keys[k] on: per target group: stream, number
-- Reads from args[i] to args[last]: per message: target group (from 1), its shard, generation, sender, child, method, payload, spec
-- include: _time
local function put_far(stream, number, shard, generation, sender, child, method, payload, spec)
  redis.call('XADD', stream, integer(redis.call('INCR', number)) .. '-0', 'shard', shard, 'generation', generation,
    'sender', sender, 'child', child, 'method', method, 'payload', payload, 'spec', spec)
end
local function put_all_far(keys, k, args, i, last)
  for at = i, last, 8 do
    local place = k + 2 * (tonumber(args[at]) - 1)
    put_far(keys[place], keys[place + 1], args[at + 1], args[at + 2], args[at + 3], args[at + 4], args[at + 5], args[at + 6],
      args[at + 7])
  end
  return false
end
