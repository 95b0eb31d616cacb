-- last_of(feed) -> ms and number of its last entry, and whether that says that the child has ended (see _feeds)
-- end_feeds(feeds): the children of these have ended. Their readers are told, and the feeds are kept for an hour.
-- include: _time
local function last_of(feed)
  local entry = redis.call('XREVRANGE', feed, '+', '-', 'COUNT', 1)[1]
  if not entry then return 0, 0, false end
  local ms, number = string.match(entry[1], '^(%d+)-(%d+)$')
  if #ms <= 15 and #number <= 15 then return tonumber(ms), tonumber(number), entry[2][1] == 'end' end
  redis.call('DEL', feed) -- nothing could be put behind such an id, which hubq has not written
  return 0, 0, false
end
local function end_feeds(feeds)
  for _, feed in ipairs(feeds) do
    local ms, number, ended = last_of(feed)
    if number > 0 and not ended then
      redis.call('XADD', feed, integer(math.max(ms, now_ms())) .. '-' .. integer(number + 1), 'end', '1')
      redis.call('PEXPIRE', feed, 3600000)
    end
  end
end
