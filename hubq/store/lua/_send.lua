-- put_send(target, sender, child, method, payload, spec, letters, limit): one message of a child goes to another child, or to
-- the dead letters if that is not there. -> false: its mailbox is full, and nothing is done.
--   target: the keys of its shard; spec: it is started if it is not there ('' = not); method '' = only start it
-- targets_of(keys, k, shards): the keys of so many shards, from keys[k] on: mailbox, children, backlog, dormant (only looked
-- up), dead
local function put_send(target, sender, child, method, payload, spec, letters, limit)
  local there = redis.call('HEXISTS', target.children, child) == 1 or redis.call('HEXISTS', target.dormant, child) == 1
  if not there and spec ~= '' then
    redis.call('HSET', target.children, child, spec)
    redis.call('XADD', target.mailbox, '*', 'kind', 'start', 'child', child, 'method', '', 'id', '', 'reply_to', '',
      'deadline', '0', 'payload', cjson.encode({child}))
    redis.call('HINCRBY', target.backlog, child, 1)
    there = true
  end
  if method == '' then return true end
  local id = 'child ' .. sender .. '#0' -- as in send_messages: who has sent it
  if not there then
    redis.call('XADD', target.dead, 'MAXLEN', letters, '*', 'kind', 'cast', 'child', child, 'method', method, 'id', id,
      'reply_to', '', 'deadline', '0', 'payload', payload, 'entry', '-', 'class', '', 'tries', '0', 'crashes', '',
      'why', 'unknown-child', 'error', 'there is no child ' .. child .. '; child ' .. sender .. ' sent it this message')
    return true
  end
  if tonumber(redis.call('HGET', target.backlog, child) or 0) >= limit then return false end
  redis.call('XADD', target.mailbox, '*', 'kind', 'cast', 'child', child, 'method', method, 'id', id, 'reply_to', '',
    'deadline', '0', 'payload', payload)
  redis.call('HINCRBY', target.backlog, child, 1)
  return true
end
local function targets_of(keys, k, shards)
  local targets = {}
  for t = 1, shards do
    targets[t] = {mailbox = keys[k], children = keys[k + 1], backlog = keys[k + 2], dormant = keys[k + 3],
      dead = keys[k + 4]}
    k = k + 5
  end
  return targets
end
