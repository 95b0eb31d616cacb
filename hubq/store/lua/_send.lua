-- put_send(target, sender, child, method, payload, spec, letters, limit): one message of a child goes to another child, or to
-- the dead letters if that is not there. -> false: its mailbox is full, or a key of its shard is of another type; nothing is done.
--   target: the keys of its shard; spec: it is started if it is not there ('' = not); method '' = only start it
-- targets_of(keys, k, shards): the keys of so many shards, from keys[k] on: mailbox, children, backlog, dormant (only looked
-- up), dead
-- include: _spoilt
local function add(stream, ...) return not spoilt(redis.pcall('XADD', stream, ...)) end
local function put_send(target, sender, child, method, payload, spec, letters, limit)
  local found = redis.pcall('HEXISTS', target.children, child)
  if found == 0 then found = redis.pcall('HEXISTS', target.dormant, child) end
  local counted = redis.pcall('HGET', target.backlog, child)
  if spoilt(found) or spoilt(counted) then return false end
  local there, waiting = found == 1, tonumber(counted or 0) or 0
  if not there and spec ~= '' then
    if not add(target.mailbox, '*', 'kind', 'start', 'child', child, 'method', '', 'id', '', 'reply_to', '',
      'deadline', '0', 'payload', cjson.encode({child})) then return false end
    redis.call('HSET', target.children, child, spec)
    waiting = waiting + 1
    redis.call('HSET', target.backlog, child, string.format('%d', waiting))
    there = true
  end
  if method == '' then return true end
  local id = 'child ' .. sender .. '#0' -- as in send_messages: who has sent it
  if not there then
    return add(target.dead, 'MAXLEN', letters, '*', 'kind', 'cast', 'child', child, 'method', method, 'id', id,
      'reply_to', '', 'deadline', '0', 'payload', payload, 'entry', '-', 'class', '', 'tries', '0', 'crashes', '',
      'why', 'unknown-child', 'error', 'there is no child ' .. child .. '; child ' .. sender .. ' sent it this message')
  end
  if waiting >= limit or not add(target.mailbox, '*', 'kind', 'cast', 'child', child, 'method', method, 'id', id, 'reply_to', '',
    'deadline', '0', 'payload', payload) then return false end
  redis.call('HSET', target.backlog, child, string.format('%d', waiting + 1))
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
