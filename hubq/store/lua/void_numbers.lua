-- A send was repeated and then refused: its first try may arrive still, when there is no reason to refuse it any more. From
-- now on these numbers count as seen. Which ones are void stands in the window, as long as it reaches back to them: the answer to
-- this script may be lost, and the next one must be the same.
-- KEYS: sender
-- ARGV: sender ttl ms, then the numbers
-- Returns: per number "void" | "duplicate" (it has arrived already, and was done)
-- include: _time
-- include: _window
local window = window_load(KEYS[1], tonumber(ARGV[2]))
local answers, void, news = {}, {}, false
for seq in string.gmatch(redis.call('HGET', KEYS[1], 'void') or '', '%d+') do void[tonumber(seq)] = true end
for i = 2, #ARGV do
  local seq = tonumber(ARGV[i])
  local verdict = window_judge(window, seq)
  if verdict == 'new' then
    window_mark(window, seq)
    void[seq], news = true, true
  end
  answers[#answers + 1] = verdict == 'duplicate' and not void[seq] and verdict or 'void'
end
if news then
  local kept = {}
  for seq in pairs(void) do
    if window_judge(window, seq) == 'duplicate' then kept[#kept + 1] = integer(seq) end
  end
  redis.call('HSET', KEYS[1], 'void', table.concat(kept, ' '))
end
window_save(window, ARGV[1])
return answers
