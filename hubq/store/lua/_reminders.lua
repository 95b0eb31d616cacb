-- Reminders of the children of a shard (docs/guide-reminders.md). A reminder is "child\nname" in three keys:
--   due: zset, when it is looked at next, ms; what: hash, "due every late method\npayload"; names: zset by name, for one child's
-- reminders_of(keys, k): these three, from keys[k] on.
-- set_reminder(r, child, name, due, every, late, method, payload): set, or set again. All numbers are text.
local function reminders_of(keys, k)
  return {due = keys[k], what = keys[k + 1], names = keys[k + 2]}
end
local function set_reminder(r, child, name, due, every, late, method, payload)
  local member = child .. '\n' .. name
  redis.call('HSET', r.what, member, due .. ' ' .. every .. ' ' .. late .. ' ' .. method .. '\n' .. payload)
  redis.call('ZADD', r.due, due, member)
  redis.call('ZADD', r.names, 0, member)
end
