-- The single act that changes anything: fenced by the ownership tokens. What is fenced changes nothing; the others go on.
-- KEYS: owners, then per shard or pin those of its effects (see _effects; of plain ones: mailbox, msk, backlog, the reply lists)
-- ARGV: "plain", if all that is committed are messages that are done, states and replies: then the rest is not even defined. "cut": the
--       same, and before each list of what is done stands where to cut (see _cut).
--       Then per shard or pin: how many arguments follow for it; how many keys it has; owner field, owner line
--       ("node incarnation token"), then effects (see _effects; of plain ones: what is done, states and replies, see _handled)
-- Returns: per shard or pin "ok" | "held" (ok; something waits in the outbox of the shard) | "empty" (ok; so is the mailbox) | "fenced"
-- include: _handled
local keys, args = KEYS, ARGV
local function commit(apply, i)
  local answers, k = {}, 2
  while i <= #args do
    local last = i + tonumber(args[i])
    local ours = redis.call('HGET', keys[1], args[i + 2]) == args[i + 3]
    answers[#answers + 1] = not ours and 'fenced' or apply(keys, k, args, i + 4, last) or 'ok'
    i, k = last + 1, k + tonumber(args[i + 1])
  end
  return answers
end
local function plainly(remove)
  return commit(function(_, k, _, i)
    local at, empty = remove(keys[k], keys[k + 2], args, i)
    push_replies(keys, k + 3, args, save_states(keys[k + 1], args, at))
    return empty
  end, 2)
end
if args[1] == 'plain' then return plainly(remove_done) end
-- include: _cut
if args[1] == 'cut' then return plainly(cut_done) end
-- include: _effects
return commit(function(...) return apply_effects(...) and 'held' end, 1)
