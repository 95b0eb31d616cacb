-- A message is put into its mailbox. It starts its child, if that is not there. (ARGV are those of send_messages.)
-- spec_of(seq): the spec that message brings along; nil: none. Only a message whose child is not active pays for the look.
-- put_message(k, at, h, child, spec, deadline): puts the message at ARGV[at], whose kind, method and reply list are from ARGV[h] on, into
-- the mailbox KEYS[k], and before it the start of its child if it has a spec. -> why it is refused: nothing is written then
-- include: _spoilt
local KEYS, ARGV, redis, tonumber = KEYS, ARGV, redis, tonumber -- each message asks for them: that takes longer for what is global
local alike, specs = ARGV[5] ~= '', nil
local function spec_of(seq)
  if alike then return nil end
  if not specs then
    local i = 6
    for _ = 2, #KEYS, 4 do i = i + 1 + 7 * tonumber(ARGV[i]) end
    specs = {}
    for s = i, #ARGV, 2 do specs[ARGV[s]] = ARGV[s + 1] end
  end
  return specs[seq]
end
local function put_message(k, at, h, child, spec, deadline)
  if spec then
    local put = redis.pcall('XADD', KEYS[k], '*', 'kind', 'start', 'child', child, 'method', '', 'id', '', 'reply_to', '',
      'deadline', '0', 'payload', cjson.encode({child}))
    local why = spoilt(put)
    if why then return why end
    redis.call('HSET', KEYS[k + 1], child, spec)
  end
  local reply_to = ARGV[h + 2]
  return spoilt(redis.pcall('XADD', KEYS[k], '*', 'kind', ARGV[h], 'child', child, 'method', ARGV[h + 1],
    'id', reply_to == '' and ARGV[4] .. '#' .. ARGV[at] or ARGV[at], 'reply_to', reply_to, 'deadline', deadline,
    'payload', ARGV[at + 2]))
end
