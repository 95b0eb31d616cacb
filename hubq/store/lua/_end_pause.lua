-- end_pause(pauses, child): a child has ended; so does its pause, if it has one (set_pause).
-- include: _time
local function end_pause(pauses, child)
  if redis.call('HDEL', pauses, 'child ' .. child) == 0 then return end
  local number = tonumber(redis.call('HGET', pauses, '#') or 0) or 0
  redis.call('HSET', pauses, '#', integer(math.max(number + 1, now_ms())))
  if redis.call('HLEN', pauses) == 1 then redis.call('PEXPIRE', pauses, 3600000) end
end
