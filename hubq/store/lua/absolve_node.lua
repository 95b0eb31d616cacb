-- A node that was taken for dead was only cut off: what counted as its crash counts no more, and what was condemned for
-- it is sent (or started) again.
-- KEYS: owners
-- ARGV: the crash that was none ("node#incarnation"), prefix of keys, then the shards
-- Returns: how many counts were taken back
-- include: _owner
-- include: _replay
local taken = 0
for s = 3, #ARGV do
  local tries, dead = ARGV[2] .. 'shard:' .. ARGV[s] .. ':tries', ARGV[2] .. 'shard:' .. ARGV[s] .. ':dead'
  for _, letter in ipairs(redis.call('XRANGE', dead, '-', '+')) do
    for i = 1, #letter[2], 2 do
      if letter[2][i] == 'crashes' and string.find(letter[2][i + 1] .. ' ', ARGV[1] .. ' ', 1, true) then
        taken = taken + (replay(ARGV[2], KEYS[1], ARGV[s], letter[1]) == 'ok' and 1 or 0)
      end
    end
  end
  local fields = redis.call('HGETALL', tries)
  for i = 1, #fields, 2 do
    local field, text, head = fields[i], fields[i + 1], nil
    local first, second, third, rest = string.match(text, '^(%S+) (%S+) (%S+) ?(.*)$')
    if field == 'watch' then
      head, rest = first .. ' ' .. second, string.match(text, '^%S+ %S+ (.*)$')
    end
    local kept, found = {}, false
    for name in string.gmatch(rest or '', '%S+') do
      if name == ARGV[1] then found = true else kept[#kept + 1] = name end
    end
    if found then
      taken = taken + 1
      head = head or first .. ' ' .. string.format('%d', tonumber(second) - 1) .. ' ' .. third
      if #kept == 0 then
        redis.call('HDEL', tries, field)
      else
        redis.call('HSET', tries, field, head .. ' ' .. table.concat(kept, ' '))
      end
    end
  end
end
return taken
