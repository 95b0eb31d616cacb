-- put_sends(keys, k, args, i, last): messages and starts from children of this shard go to others, in order. -> held
-- Takes from keys[k] on: outbox, outbox waiting, then of each target shard: mailbox, children, backlog, dormant,
--   dead
-- Reads from args[i] to args[last]: max backlog, letters kept, how many target shards, then per message: target shard (from 1),
--   its number, sender, child, method, payload, spec
--   (method '' = only start it; spec '' = do not start it)
-- held: something waits in the outbox.
-- include: _send
-- include: _one_more
local function put_sends(keys, k, args, i, last)
  local limit, letters = tonumber(args[i]), args[i + 1]
  local outbox, waiting = keys[k], keys[k + 1]
  local targets = targets_of(keys, k + 2, tonumber(args[i + 2]))
  local held = redis.call('EXISTS', waiting) == 1
  for at = i + 3, last, 7 do
    local sender, child, method, payload, spec = args[at + 2], args[at + 3], args[at + 4], args[at + 5], args[at + 6]
    local behind = held and redis.call('HEXISTS', waiting, child) == 1
    if behind or not put_send(targets[tonumber(args[at])], sender, child, method, payload, spec, letters, limit) then
      redis.call('XADD', outbox, '*', 'shard', args[at + 1], 'sender', sender, 'child', child, 'method', method,
        'payload', payload, 'spec', spec)
      one_more(waiting, child)
      held = true
    end
  end
  return held
end
