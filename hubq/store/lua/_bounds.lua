-- bounds_of(text): "most messages of a child" or, if there is a bound, "most messages of a child most bytes of a mailbox" -> both
-- heavy(mailbox, most) -> "heavy <bytes>" if its messages take as many bytes of memory as they may; else nil. (Redis looks at the oldest
--   of its nodes and at the newest, and takes the mean of them: it costs the same for each mailbox.)
local function bounds_of(text)
  if tonumber(text) then return tonumber(text) end
  local messages, bytes = string.match(text, '^(%d+) (%d+)$')
  return tonumber(messages), tonumber(bytes)
end
local function heavy(mailbox, most)
  local bytes = redis.call('MEMORY', 'USAGE', mailbox, 'SAMPLES', '16')
  if bytes and bytes >= most then return 'heavy ' .. integer(bytes) end
end
