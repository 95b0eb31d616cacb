-- put_keeps(keys, k, args, i, last): outcomes that are kept under the keys of their messages. -> nothing held
-- Takes from keys[k] on: the key of each
-- Reads from args[i] to args[last]: of each: ms to keep it, the outcome
local function put_keeps(keys, k, args, i, last)
  for at = i, last, 2 do
    redis.call('SET', keys[k], args[at + 1], 'PX', args[at])
    k = k + 1
  end
  return false
end
