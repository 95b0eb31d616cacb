-- retract(feed, handling, topic): an event of this topic tells the readers of a feed that the drafts of a handling never were (see _close_drafts).
-- include: _feed_tail
local function retract(feed, handling, topic)
  local ms, number, ended = last_of(feed)
  if number == 0 or ended then return end
  local id = integer(math.max(ms, now_ms())) .. '-' .. integer(number + 1)
  local data = 'j' .. cjson.encode({draft = handling})
  add_event(feed, id, 'topic', topic, 'data', data)
end
