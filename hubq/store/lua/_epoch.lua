-- next_epoch(key): one more than stood there, as text.
-- include: _mended
local function next_epoch(key)
  mended(key)
  return integer(redis.call('INCR', key))
end
