-- last_of(feed) -> ms and number of its last entry, and whether that says that the child has ended (see _feeds)
-- add_event(feed, ...): XADD. If the feed has had an id beyond that, which hubq has not written, it begins anew.
-- include: _time
local function last_of(feed)
  local entry = redis.call('XREVRANGE', feed, '+', '-', 'COUNT', 1)[1]
  if not entry then return 0, 0, false end
  local ms, number = string.match(entry[1], '^(%d+)-(%d+)$')
  if #ms <= 15 and #number <= 15 then return tonumber(ms), tonumber(number), entry[2][1] == 'end' end
  redis.call('DEL', feed) -- nothing could be put behind such an id, which hubq has not written
  return 0, 0, false
end
local function add_event(feed, ...)
  local put = redis.pcall('XADD', feed, ...)
  local why = type(put) == 'table' and tostring(put.err)
  if not why then return end
  if not string.find(why, 'equal or smaller', 1, true) and not string.find(why, 'exhausted', 1, true) then error(why, 0) end
  redis.call('DEL', feed)
  redis.call('XADD', feed, ...)
end
