-- replay(owners, at, letter, controls): sends a dead letter again, as a new message without a deadline (its caller has been
-- answered), or starts a child again that was parked because its start took nodes down. The letter goes in the same moment,
-- so it is sent again once. -> "ok" | "unknown" (no such child; the letter stays) | "malformed" (it was no message: it stays)
--   at: the keys of the shard (see _shard); letter: an entry of its "dead"; controls: node -> key of its control mailbox
-- reviver(owners, at, letter): the node that is told to start the child again: its mailbox is written. nil: none is.
-- include: _one_more
local function letter_fields(letter)
  local field = {}
  for i = 1, #letter[2], 2 do field[letter[2][i]] = letter[2][i + 1] end
  return field
end
local function reviver(owners, at, letter)
  local field = letter_fields(letter)
  if field.kind ~= 'start' or redis.call('HEXISTS', at.children, field.child) == 0 then return end
  local pin = redis.call('HGET', owners, at.shard .. '/' .. field.child)
  local owner = split_owner(pin or redis.call('HGET', owners, at.shard))
  if owner ~= '-' then return owner end
end
local function replay(owners, at, letter, controls)
  local field = letter_fields(letter)
  if field.why == 'malformed' then return 'malformed' end
  local active = redis.call('HEXISTS', at.children, field.child) == 1
  if not active and redis.call('HEXISTS', at.dormant, field.child) == 0 then return 'unknown' end
  if field.kind == 'start' then
    redis.call('HDEL', at.parked, field.child)
    local owner = reviver(owners, at, letter)
    if owner then
      redis.call('XADD', controls[owner], 'MAXLEN', '~', 10000, '*', 'kind', 'revive', 'from', '-', 'shard', at.shard,
        'child', field.child)
      redis.call('PEXPIRE', controls[owner], 3600000)
    end
  else
    redis.call('XADD', at.mailbox, '*', 'kind', field.kind, 'child', field.child, 'method', field.method,
      -- (its sender stays known: it is sealed)
      'id', field.reply_to ~= '' and field.reply_to .. '#' .. field.id or field.id, 'reply_to', '', 'deadline', '0', 'payload', field.payload)
    one_more(at.backlog, field.child)
  end
  redis.call('XDEL', at.dead, letter[1])
  return 'ok'
end
