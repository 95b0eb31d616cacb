-- after_crash(hub, shard, node, incarnation): the owner of a shard (or of a pin in it) is gone without having given it
-- up. What it had in hand is counted; what was in hand at three crashes goes to the dead letters. docs/poison.md.
--   hub: {prefix, nodes, events, events kept, letters kept, reply ttl ms}
-- The hash "tries": watch -> "last-entry stage crash..."; "message <child>" -> "entry count marked-by crash...";
-- "start <child>" -> the same with entry "-". A crash is written node#incarnation; the last five are kept.
local MOST_TRIES = 3
local function with_crash(crashes, crash)
  local kept = {}
  for name in string.gmatch(crashes, '%S+') do kept[#kept + 1] = name end
  kept[#kept + 1] = crash
  while #kept > 5 do table.remove(kept, 1) end
  return table.concat(kept, ' ')
end
local function after_crash(hub, shard, node, incarnation)
  local info = redis.call('HGET', hub[2], node)
  local was = info and string.match(info, '"was": ?"([^"]*)"') or ''
  if string.find(' ' .. was .. ' ', ' ' .. incarnation .. ' ', 1, true) then return end -- cut off, but alive
  local crash = node .. '#' .. incarnation
  local tries, mailbox = hub[1] .. 'shard:' .. shard .. ':tries', hub[1] .. 'shard:' .. shard .. ':mailbox'
  local before = redis.call('HGET', tries, 'watch')
  local _, stage, crashes = string.match(before or '0-0 open ', '^(%S+) (%S+) ?(.*)$')
  stage = stage == 'open' and 'starting' or 'careful'
  local last = redis.call('XREVRANGE', mailbox, '+', '-', 'COUNT', 1)[1]
  redis.call('HSET', tries, 'watch', (last and last[1] or '0-0') .. ' ' .. stage .. ' ' .. with_crash(crashes, crash))
  local marks = redis.call('HGETALL', tries)
  for i = 1, #marks, 2 do
    local what, child = string.match(marks[i], '^(%a+) (.*)$')
    if what then
      local entry, count, by, them = string.match(marks[i + 1], '^(%S+) (%d+) (%S+) ?(.*)$')
      if what == 'message' and not redis.call('XRANGE', mailbox, entry, entry)[1] then
        redis.call('HDEL', tries, marks[i]) -- it was done after all
      elseif by == crash then
        count, them = tonumber(count) + 1, with_crash(them, crash)
        if count >= MOST_TRIES then
          convict(hub, shard, tries, what, child, entry, count, them)
        else
          redis.call('HSET', tries, marks[i], entry .. ' ' .. count .. ' - ' .. them)
        end
      end
    end
  end
end
