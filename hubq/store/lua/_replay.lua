-- replay(prefix, owners, shard, letter entry): sends a dead letter again, as a new message without a deadline (its caller
-- has been answered), or starts a child again that was parked because its start took nodes down. The letter goes in the
-- same moment, so it is sent again once. -> "ok" | "gone" (no such letter) | "unknown" (no such child; the letter stays)
local function replay(prefix, owners, shard, entry)
  local base = prefix .. 'shard:' .. shard .. ':'
  local letter = redis.call('XRANGE', base .. 'dead', entry, entry)[1]
  if not letter then return 'gone' end
  local field = {}
  for i = 1, #letter[2], 2 do field[letter[2][i]] = letter[2][i + 1] end
  if redis.call('HEXISTS', base .. 'children', field.child) == 0 then return 'unknown' end
  if field.kind == 'start' then
    redis.call('HDEL', base .. 'parked', field.child)
    local owner = split_owner(redis.call('HGET', owners, shard .. '/' .. field.child) or redis.call('HGET', owners, shard))
    if owner ~= '-' then
      local control = prefix .. 'node:' .. owner .. ':mailbox'
      redis.call('XADD', control, 'MAXLEN', '~', 10000, '*', 'kind', 'revive', 'from', '-', 'shard', shard,
        'child', field.child)
      redis.call('PEXPIRE', control, 3600000)
    end
  else
    redis.call('XADD', base .. 'mailbox', '*', 'kind', field.kind, 'child', field.child, 'method', field.method,
      'id', field.id, 'reply_to', '', 'deadline', '0', 'payload', field.payload)
    redis.call('HINCRBY', base .. 'backlog', field.child, 1)
  end
  redis.call('XDEL', base .. 'dead', entry)
  return 'ok'
end
