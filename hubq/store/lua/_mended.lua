-- mended(key): a number that goes up stands there. Was it no number? Then it begins anew from the time in ms, above every number that
-- there was.
-- include: _time
local function mended(key)
  local stands = redis.call('GET', key)
  if not stands or (#stands <= 15 and string.match(stands, '^%d+$')) then return false end
  redis.call('SET', key, integer(now_ms()))
  return true
end
