-- Deletes messages to children of another group that have arrived there.
-- KEYS: stream
-- ARGV: their generation, their entries
-- Returns: how many are left
-- If this group has gone back, a number may be that of another message by now: one of another generation stays.
local function generation_of(entry)
  local found = redis.call('XRANGE', KEYS[1], entry, entry)[1]
  for i = 1, found and #found[2] or 0, 2 do
    if found[2][i] == 'generation' then return found[2][i + 1] end
  end
end
local arrived = {}
for i = 2, #ARGV do
  if generation_of(ARGV[i]) == ARGV[1] then arrived[#arrived + 1] = ARGV[i] end
end
if #arrived > 0 then redis.call('XDEL', KEYS[1], unpack(arrived)) end
local left = redis.call('XLEN', KEYS[1])
if left == 0 then redis.call('DEL', KEYS[1]) end
return left
