-- A send was repeated and then refused: its first try may arrive still, when there is no reason to refuse it any more. From
-- now on these numbers count as seen.
-- KEYS: sender
-- ARGV: sender ttl ms, then the numbers
-- Returns: per number "void" | "duplicate" (it has arrived already, and was done)
-- include: _time
-- include: _window
local window = window_load(KEYS[1])
local answers = {}
for i = 2, #ARGV do
  local seq = tonumber(ARGV[i])
  local verdict = window_judge(window, seq)
  if verdict == 'new' then window_mark(window, seq) end
  answers[#answers + 1] = verdict == 'duplicate' and verdict or 'void'
end
window_save(window, ARGV[1])
return answers
