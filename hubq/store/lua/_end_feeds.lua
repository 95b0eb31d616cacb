-- end_feeds(feeds): the children of these have ended. Their readers are told, and the feeds are kept for an hour.
-- include: _feed_tail
local function end_feeds(feeds)
  for _, feed in ipairs(feeds) do
    local ms, number, ended = last_of(feed)
    if number > 0 and not ended then
      add_event(feed, integer(math.max(ms, now_ms())) .. '-' .. integer(number + 1), 'end', '1')
      redis.call('PEXPIRE', feed, 3600000)
    end
  end
end
