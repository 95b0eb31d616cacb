-- The single act that changes anything: fenced by the ownership tokens. What is fenced changes nothing; the others go on.
-- KEYS: owners, then per shard or pin those of its effects (see _effects)
-- ARGV: per shard or pin: how many arguments follow for it; how many keys it has; owner field, owner line
--       ("node incarnation token"), then effects
-- Returns: per shard or pin "ok" | "held" (ok; something waits in the outbox of the shard) | "fenced"
-- include: _effects
local keys, args = KEYS, ARGV
local answers, i, k = {}, 1, 2
while i <= #args do
  local last = i + tonumber(args[i])
  if redis.call('HGET', keys[1], args[i + 2]) == args[i + 3] then
    local held = apply_effects(keys, k, args, i + 4, last)
    answers[#answers + 1] = held and 'held' or 'ok'
  else
    answers[#answers + 1] = 'fenced'
  end
  i, k = last + 1, k + tonumber(args[i + 1])
end
return answers
