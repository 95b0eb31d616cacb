-- end_children(keys, of, k, args, i): children that are no more go with all that they had. -> i, k
-- Takes from keys[of] on: mailbox, children, msk, backlog, parked; and from keys[k] on, only if children have ended: pins, pins
-- epoch, stragglers, reminders due, what, names.
-- Reads from args[i] on: n, then n times: child, start id. A child that was started anew since is not meant.
-- include: _reminders
local function drop_reminders(r, child)
  if redis.call('EXISTS', r.names) == 0 then return end
  repeat
    -- (\11 is the next character after \n.)
    local some = redis.call('ZRANGEBYLEX', r.names, '[' .. child .. '\n', '(' .. child .. '\11', 'LIMIT', 0, 1000)
    if #some > 0 then
      redis.call('ZREM', r.due, unpack(some))
      redis.call('HDEL', r.what, unpack(some))
      redis.call('ZREM', r.names, unpack(some))
    end
  until #some < 1000
end
local function end_children(keys, of, k, args, i)
  local n = tonumber(args[i])
  if n == 0 then return i + 1, k end
  local children, msk, parked = keys[of + 1], keys[of + 2], keys[of + 4]
  local pins, pins_epoch, stragglers, reminders = keys[k], keys[k + 1], keys[k + 2], reminders_of(keys, k + 3)
  for at = i + 1, i + 2 * n, 2 do
    local child, start_id = args[at], args[at + 1]
    local spec = redis.call('HGET', children, child)
    local is_meant = spec and string.find(spec, '"start_id":"' .. start_id .. '"', 1, true)
    if is_meant or (spec and start_id == '' and not string.find(spec, '"start_id":"', 1, true)) then -- '': it is malformed
      redis.call('HDEL', children, child)
      redis.call('HDEL', msk, child)
      redis.call('HDEL', parked, child)
      if redis.call('HDEL', pins, child) == 1 then redis.call('INCR', pins_epoch) end
      redis.call('HDEL', stragglers, child)
      drop_reminders(reminders, child)
    end
  end
  return i + 1 + 2 * n, k + 6
end
