-- end_children(keys, k, args, i, last, children, msk, parked): children have ended, unless they were started anew since. -> i, k, feeds
-- Takes from keys[k] on, if there are such: pins, pins epoch, stragglers, pauses, reminders due, what, names, then the feed of each child
-- Reads from args[i] on: n, then n times: child, start id ('': its spec is malformed)
-- feeds: those of the children that have ended. They end when all that the children say is written.
-- include: _drop_reminders
-- include: _end_pause
-- include: _epoch
-- include: _check_said
-- check_ended(keys, k, args, i, last, n): it is done once, so nothing behind it may be refused. (args[i]: behind the children)
local function check_ended(keys, k, args, i, last, n)
  hashes(keys[k], keys[k + 2], keys[k + 3], keys[k + 5])
  zsets(keys[k + 4], keys[k + 6])
  texts(keys[k + 1])
  for j = 1, n do streams(keys[k + 6 + j]) end
  i, k = i + 1 + 2 * tonumber(args[i]), k + 7 + n
  local clients = tonumber(args[i])
  i = i + 1
  for _ = 1, clients do i = i + 2 + tonumber(args[i + 1]) end
  check_said(keys, k + clients, args, i, last)
end
local function end_children(keys, k, args, i, last, children, msk, parked)
  local n, feeds = tonumber(args[i]), {}
  if n == 0 then return i + 1, k, feeds end
  hashes(children, parked)
  check_ended(keys, k, args, i + 1 + 2 * n, last, n)
  local pins, pins_epoch, stragglers, reminders = keys[k], keys[k + 1], keys[k + 2], {due = keys[k + 4], what = keys[k + 5], names = keys[k + 6]}
  for j = 1, n do
    local child, start_id = args[i + 2 * j - 1], args[i + 2 * j]
    local spec = redis.call('HGET', children, child)
    local is_meant = spec and string.find(spec, '"start_id":"' .. start_id .. '"', 1, true)
    if is_meant or (spec and start_id == '' and not string.find(spec, '"start_id":"', 1, true)) then
      redis.call('HDEL', children, child)
      redis.call('HDEL', msk, child)
      redis.call('HDEL', parked, child)
      if redis.call('HDEL', pins, child) == 1 then next_epoch(pins_epoch) end
      redis.call('HDEL', stragglers, child)
      end_pause(keys[k + 3], child)
      drop_reminders(reminders, child)
      feeds[#feeds + 1] = keys[k + 6 + j]
    end
  end
  return i + 1 + 2 * n, k + 7 + n, feeds
end
