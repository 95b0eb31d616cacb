-- Writes what is about to be handled (or takes it back), so that a crash shows who was in hand. docs/poison.md.
-- A crash that neither the watch names nor the mark that stands here was taken back since the node has read them. It counts no more.
-- KEYS: owners, tries
-- ARGV: owner field, owner line, then field of "tries", text ('' = remove), ...
-- Returns: "ok" | "fenced"
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 'fenced' end
local watch = redis.call('HGET', KEYS[2], 'watch')
if not watch then return 'ok' end  -- the crash was none: nothing is watched
local function as_counted(field, text)
  local entry, count, by, crashes = string.match(text, '^(%S+) (%d+) (%S+) ?(.*)$')
  if not entry then return text end
  count = tonumber(count)
  local known, kept = ' ' .. watch .. ' ' .. (redis.call('HGET', KEYS[2], field) or '') .. ' ', {}
  for name in string.gmatch(crashes, '%S+') do
    if string.find(known, ' ' .. name .. ' ', 1, true) then kept[#kept + 1] = name else count = count - 1 end
  end
  return table.concat({entry, string.format('%d', math.max(count, 0)), by, unpack(kept)}, ' ')
end
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', KEYS[2], ARGV[i])
  else
    redis.call('HSET', KEYS[2], ARGV[i], as_counted(ARGV[i], ARGV[i + 1]))
  end
end
return 'ok'
