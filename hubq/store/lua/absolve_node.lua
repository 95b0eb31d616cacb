-- A node that was taken for dead was only cut off: what counted as its crash counts no more, and what was condemned for
-- it is sent (or started) again.
-- KEYS: owners, seven of each shard (see _shard), then the control mailbox of each node that is named
-- ARGV: the crash that was none ("node#incarnation"), what has held the node up (its shard, its field of "tries", its
--       entry; empty: nothing), whose count stays, how many shards, the shards, then nodes
-- Returns: {"ok", how many counts were taken back} | {"needs", nodes...} (see _named)
-- include: _owner
-- include: _named
-- include: _shard
-- include: _replay
local shards, taken, places, letters, told = tonumber(ARGV[5]), 0, {}, {}, {}
local controls = named_keys(6 + shards, #ARGV, 2 + 7 * shards)
for n = 1, shards do
  places[n] = shard_keys(ARGV[5 + n], 7 * n - 5)
  check_shard(places[n])
  for _, letter in ipairs(redis.call('XRANGE', places[n].dead, '-', '+')) do
    local fields = letter_fields(letter)
    local crashes = fields.why ~= 'malformed' and fields.crashes or ''  -- what was no message has taken no node down
    local what = (fields.kind == 'start' and 'start ' or 'message ') .. (fields.child or '')
    local stays = ARGV[5 + n] == ARGV[2] and what == ARGV[3]
    if not stays and string.find(' ' .. crashes .. ' ', ' ' .. ARGV[1] .. ' ', 1, true) then
      letters[#letters + 1] = {at = places[n], letter = letter}
      told[#told + 1] = reviver(KEYS[1], places[n], letter)
    end
  end
end
local needs = lacking(controls, told)
if needs then return needs end
for _, one in ipairs(letters) do
  taken = taken + (replay(KEYS[1], one.at, one.letter, controls) == 'ok' and 1 or 0)
end
for _, at in ipairs(places) do
  local fields = redis.call('HGETALL', at.tries)
  for i = 1, #fields, 2 do
    local field, text, head = fields[i], fields[i + 1], nil
    local first, second, third, rest = string.match(text, '^(%S+) (%S+) (%S+) ?(.*)$')
    if field == 'watch' then
      head, rest = string.match(text, '^(%S+ %S+) ?(.*)$')
    end
    local kept, found = {}, false
    for name in string.gmatch(rest or '', '%S+') do
      if name == ARGV[1] then found = true else kept[#kept + 1] = name end
    end
    if field == 'watch' and at.shard == ARGV[2] and found then
      redis.call('HSET', at.tries, field, head .. ' ' .. table.concat(kept, ' '))
      redis.call('HSETNX', at.tries, ARGV[3], ARGV[4] .. ' 1 - ' .. ARGV[1])
    elseif found and not (at.shard == ARGV[2] and field == ARGV[3]) then
      taken = taken + 1
      head = head or first .. ' ' .. string.format('%d', tonumber(second) - 1) .. ' ' .. third
      if #kept == 0 then
        redis.call('HDEL', at.tries, field)
      else
        redis.call('HSET', at.tries, field, head .. ' ' .. table.concat(kept, ' '))
      end
    end
  end
end
return {'ok', taken}
