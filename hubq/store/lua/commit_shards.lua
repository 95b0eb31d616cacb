-- The single act that changes anything: fenced by the ownership tokens. What is fenced changes nothing; the others go on.
-- KEYS: owners
-- ARGV: per shard or pin: how many arguments follow for it; owner field, owner line ("node incarnation token"), then
--       effects (see _effects)
-- Returns: per shard or pin "ok" | "fenced"
-- include: _effects
local answers, i = {}, 1
while i <= #ARGV do
  local last = i + tonumber(ARGV[i])
  if redis.call('HGET', KEYS[1], ARGV[i + 1]) == ARGV[i + 2] then
    apply_effects(ARGV, i + 3, last)
    answers[#answers + 1] = 'ok'
  else
    answers[#answers + 1] = 'fenced'
  end
  i = last + 1
end
return answers
