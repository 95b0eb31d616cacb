-- epoch_of(key, events): the number that stands there; 0 if none does. What is no number is told, and begins anew from the time in ms,
-- above every number that there was.
-- next_epoch(key, events): one more than that, written, as text. (events: nil = it is not told.)
-- include: _time
local function epoch_of(key, events)
  local stands = redis.call('GET', key) or '0'
  if #stands <= 15 and string.match(stands, '^%d+$') then return tonumber(stands) end
  local now = now_ms()
  redis.call('SET', key, integer(now))
  if events then redis.call('XADD', events, '*', 'type', 'malformed', 'place', key, 'why', 'no number: it begins anew from the time') end
  return now
end
local function next_epoch(key, events)
  local epoch = integer(epoch_of(key, events) + 1)
  redis.call('SET', key, epoch)
  return epoch
end
