-- drop_reminders(r, child): a child has ended; so do its reminders. r: the keys due, what, names (see _reminders).
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
