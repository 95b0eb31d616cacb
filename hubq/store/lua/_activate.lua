-- A message starts its child, if that is not there.
-- spec_of(seq): the spec that message brings along; nil: none. Only a message whose child is not active pays for the look.
-- put_start(mailbox, children, child, spec): writes the spec, and the start message. The caller counts it in the backlog.
local specs
local function spec_of(seq)
  if not specs then
    local i = 5
    for _ = 2, #KEYS, 4 do i = i + 1 + 7 * tonumber(ARGV[i]) end
    specs = {}
    for s = i, #ARGV, 2 do specs[ARGV[s]] = ARGV[s + 1] end
  end
  return specs[seq]
end
local function put_start(mailbox, children, child, spec)
  redis.call('HSET', children, child, spec)
  redis.call('XADD', mailbox, '*', 'kind', 'start', 'child', child, 'method', '', 'id', '', 'reply_to', '',
    'deadline', '0', 'payload', cjson.encode({child}))
end
