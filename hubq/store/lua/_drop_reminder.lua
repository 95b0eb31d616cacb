-- drop_reminder(r, child, name) -> whether there was one (see _reminders).
local function drop_reminder(r, child, name)
  local member = child .. '\n' .. name
  redis.call('ZREM', r.due, member)
  redis.call('ZREM', r.names, member)
  return redis.call('HDEL', r.what, member) == 1
end
