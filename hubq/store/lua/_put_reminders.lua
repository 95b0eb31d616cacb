-- put_reminders(keys, k, args, i, last): what children of this shard set and forget, in order. Takes from keys[k] on: reminders
--   due, what, names, mailbox, children. Reads from args[i] to args[last]: child, name, due ('' = forget it), every, late,
--   method, payload of each. A child that is not there any more gets none.
-- include: _reminders
-- include: _drop_reminder
-- include: _tell_reminder
local function put_reminders(keys, k, args, i, last)
  local r, mailbox, children = reminders_of(keys, k), keys[k + 3], keys[k + 4]
  for at = i, last, 7 do
    local child, name, due = args[at], args[at + 1], args[at + 2]
    if due == '' then
      drop_reminder(r, child, name)
    elseif redis.call('HEXISTS', children, child) == 1 then
      tell_reminder(r, mailbox, due)
      set_reminder(r, child, name, due, args[at + 3], args[at + 4], args[at + 5], args[at + 6])
    end
  end
end
