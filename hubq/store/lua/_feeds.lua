-- The feeds of children (docs/feeds.md). The id of an entry is "ms-number": Redis TIME, never below that of the entry before, and
-- the number of the entry, one more than that of the entry before. An entry is an event (topic, data), or the end ('end', '1').
-- put_published(keys, k, args, i, last): what children of this shard publish. -> false (nothing is held)
--   keys[k] on: the feed of each child; args[i] to args[last]: per child: entries kept, how many events, then topic, data of each
-- include: _end_feeds
local function put_published(keys, k, args, i, last)
  while i <= last do
    local ms, number, ended = last_of(keys[k])
    ms = integer(math.max(ms, now_ms()))
    local final = i + 2 * tonumber(args[i + 1])
    for at = i + 2, final, 2 do
      number = number + 1
      add_event(keys[k], 'MAXLEN', '~', args[i], ms .. '-' .. integer(number), 'topic', args[at], 'data', args[at + 1])
    end
    if ended then redis.call('PERSIST', keys[k]) end -- the child was started again
    i, k = final + 2, k + 1
  end
  return false
end
