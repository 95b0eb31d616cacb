-- told_epoch(key, events): the number that stands there, 0 if none does. What was no number is told.
-- include: _mended
-- include: _tell
local function told_epoch(key, events)
  if mended(key) then
    tell(events, 10000, 'type', 'malformed', 'place', key, 'why', 'no number: it begins anew from the time')
  end
  return tonumber(redis.call('GET', key) or 0)
end
