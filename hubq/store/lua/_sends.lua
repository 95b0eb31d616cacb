-- put_sends(keys, k, args, i, n): n messages and starts from children of this shard go to others, in order. -> i, k, held
-- Takes from keys[k] on:
--   the node's number of its last commit that sent          only if the commit has a number
--   outbox, outbox waiting, then of each target shard: mailbox, children, backlog, dormant, dead
-- Reads from args[i] on:
--   number of the commit ('' = its script has effect once anyway), life of the node, max backlog, letters kept,
--   how many target shards, then n times: target shard (from 1), its number, sender, child, method, payload, spec
--   (method '' = only start it; spec '' = do not start it)
-- held: something waits in the outbox.
-- include: _send
local function put_sends(keys, k, args, i, n)
  if n == 0 then return i, k, false end
  local number, life, limit, letters, shards = args[i], args[i + 1], tonumber(args[i + 2]), args[i + 3], tonumber(args[i + 4])
  i = i + 5
  local again = false
  if number ~= '' then
    local of, last = string.match(redis.call('GET', keys[k]) or '', '^(%d+) (%d+)$')
    again = of == life and tonumber(last) >= tonumber(number)
    if not again then redis.call('SET', keys[k], life .. ' ' .. number, 'PX', 3600000) end
    k = k + 1
  end
  local outbox, waiting = keys[k], keys[k + 1]
  local targets, after = targets_of(keys, k + 2, shards)
  local held = redis.call('EXISTS', waiting) == 1
  for _ = 1, again and 0 or n do
    local sender, child, method, payload, spec = args[i + 2], args[i + 3], args[i + 4], args[i + 5], args[i + 6]
    local behind = held and redis.call('HEXISTS', waiting, child) == 1
    if behind or not put_send(targets[tonumber(args[i])], sender, child, method, payload, spec, letters, limit) then
      redis.call('XADD', outbox, '*', 'shard', args[i + 1], 'sender', sender, 'child', child, 'method', method,
        'payload', payload, 'spec', spec)
      redis.call('HINCRBY', waiting, child, 1)
      held = true
    end
    i = i + 7
  end
  return i + (again and 7 * n or 0), after, held
end
