-- end_pause(pauses, child): a child has ended; so does its pause, if it has one (set_pause).
local function end_pause(pauses, child)
  if redis.call('HDEL', pauses, 'child ' .. child) == 0 then return end
  redis.call('HINCRBY', pauses, '#', 1)
  if redis.call('HLEN', pauses) == 1 then redis.call('PEXPIRE', pauses, 3600000) end
end
