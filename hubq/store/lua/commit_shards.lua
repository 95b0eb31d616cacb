-- The single act that changes anything: fenced by the ownership tokens. What is fenced changes nothing; the others go on.
-- KEYS: owners, then per shard or pin those of its effects (see _effects; of plain ones: mailbox, msk, backlog, the reply lists)
-- ARGV: "plain", if all that is committed are messages that are done, states and replies: then the rest is not even defined.
--       Then per shard or pin: how many arguments follow for it; how many keys it has; owner field, owner line
--       ("node incarnation token"), then effects (see _effects; of plain ones: what is done, states and replies, see _handled)
-- Returns: per shard or pin "ok" | "held" (ok; something waits in the outbox of the shard) | "fenced"
-- include: _handled
local keys, args = KEYS, ARGV
local function commit(apply, i)
  local answers, k = {}, 2
  while i <= #args do
    local last = i + tonumber(args[i])
    if redis.call('HGET', keys[1], args[i + 2]) == args[i + 3] then
      local held = apply(keys, k, args, i + 4, last)
      answers[#answers + 1] = held and 'held' or 'ok'
    else
      answers[#answers + 1] = 'fenced'
    end
    i, k = last + 1, k + tonumber(args[i + 1])
  end
  return answers
end
if args[1] == 'plain' then
  return commit(function(_, k, _, i)
    push_replies(keys, k + 3, args, save_states(keys[k + 1], args, remove_done(keys[k], keys[k + 2], args, i)))
  end, 2)
end
-- include: _effects
return commit(apply_effects, 1)
