-- tell_reminder(r, mailbox, due): a reminder is about to be set. If it is due before all others of its shard, whoever reads the
-- mailbox is told to look at that time.
local function tell_reminder(r, mailbox, due)
  local first = redis.call('ZRANGE', r.due, 0, 0, 'WITHSCORES')[2]
  if first and tonumber(first) <= tonumber(due) then return end
  redis.call('XADD', mailbox, '*', 'kind', 'remind', 'child', '', 'method', '', 'id', '', 'reply_to', '', 'deadline', due,
    'payload', '')
end
