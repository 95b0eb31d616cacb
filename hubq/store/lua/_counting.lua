-- How often something took its node down. The hash "tries": watch -> "last-entry stage crash..."; "message <child>" ->
-- "entry count marked-by crash..."; "start <child>" -> the same with entry "-". A crash is written node#incarnation.
-- with_crash(crashes, crash): the crashes with one more; the last five are kept. callers_of(crashes): who is told that their
-- message is a dead letter. later(one, other): the later of two entries. watch_of(tries) -> last entry, stage, crashes of the watch,
-- or of none.
local MOST_TRIES = 3
local function watch_of(tries)
  local last, stage, crashes = string.match(redis.call('HGET', tries, 'watch') or '', '^(%d+%-%d+) (%S+) ?(.*)$')
  return last or '0-0', stage or 'open', crashes or ''
end
local function with_crash(crashes, crash)
  local kept = {}
  for name in string.gmatch(crashes, '%S+') do kept[#kept + 1] = name end
  kept[#kept + 1] = crash
  while #kept > 5 do table.remove(kept, 1) end
  return table.concat(kept, ' ')
end
local function callers_of(crashes)
  local callers = {}
  for _, crash in ipairs(crashes) do
    for _, mark in ipairs(crash.marks) do
      local fields = mark.count >= MOST_TRIES and mark.message or {}
      for i = 1, #fields, 2 do
        if fields[i] == 'reply_to' and fields[i + 1] ~= '' then callers[#callers + 1] = fields[i + 1] end
      end
    end
  end
  return callers
end
local function later(one, other)
  local ms, n = string.match(one, '^(%d+)-(%d+)$')
  local other_ms, other_n = string.match(other, '^(%d+)-(%d+)$')
  local a, b = tonumber(ms), tonumber(other_ms)
  if a > b or (a == b and tonumber(n) >= tonumber(other_n)) then return one end
  return other
end
