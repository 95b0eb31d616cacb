-- Ends dormant children of a shard whose time has come, unless a message waits for them.
-- KEYS: owners, then of the shard: children, msk, dormant, expiring, backlog; pins, pins epoch, stragglers, pauses; reminders due, what,
--       names; then the feed of each child
-- ARGV: owner field, owner line, then children that have been read from `expiring`
-- Returns: "fenced" alone, or "ok", ms until the next one expires (-1: there is none), then the children that have ended
-- include: _types
-- include: _epoch
-- include: _drop_reminders
-- include: _end_pause
-- include: _end_feeds
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {'fenced'} end
hashes(KEYS[6], KEYS[7], KEYS[9], KEYS[10], KEYS[12])
zsets(KEYS[5], KEYS[11], KEYS[13])
texts(KEYS[8])
streams(unpack(KEYS, 14))
redis.call('HDEL', KEYS[4], '') -- a script that has written once may go on when the memory is full
local now, ended, feeds, reminders = now_ms(), {}, {}, {due = KEYS[11], what = KEYS[12], names = KEYS[13]}
for i = 3, #ARGV do
  local child = ARGV[i]
  local at = redis.call('ZSCORE', KEYS[5], child)
  if at and tonumber(at) <= now then
    redis.call('ZREM', KEYS[5], child) -- one for which a message waits is about to wake
    if redis.call('HEXISTS', KEYS[6], child) == 0 and redis.call('HDEL', KEYS[4], child) == 1 then
      if redis.call('HDEL', KEYS[7], child) == 1 then next_epoch(KEYS[8]) end
      redis.call('HDEL', KEYS[9], child)
      end_pause(KEYS[10], child)
      drop_reminders(reminders, child)
      feeds[#feeds + 1], ended[#ended + 1] = KEYS[11 + i], child
    end
  end
end
end_feeds(feeds)
local first = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
local left = first[2] and integer(math.max(0, math.ceil(tonumber(first[2]) - now))) or '-1'
return {'ok', left, unpack(ended)}
