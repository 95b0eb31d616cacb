-- put_said(keys, k, args, i, last): what children of this shard say beyond states and replies, kind by kind. -> i, k, held
-- Takes from keys[k] on:
--   the numbers of the node's last commits that said something, by shard or pin   only if something is said and the commit has a number
--   those of each kind
-- Reads from args[i] on:
--   how many kinds (0: nothing else follows), number of the commit ('' = its script has effect once anyway), life of the node, its shard or pin,
--   then per kind: its name, how many keys, how many arguments, then these (a routine gets 0 as the last one of them if the
--   commit is repeated: all of it is said already)
-- held: something waits in the outbox.
-- include: _check_said
-- include: _sends
-- include: _far
-- include: _keeps
-- include: _feeds
-- include: _put_reminders
-- include: _put_jobs
-- include: _close_drafts
local put_kind = {sends = put_sends, far = put_all_far, keeps = put_keeps, feeds = put_published, reminders = put_reminders, jobs = put_jobs,
  drafts = close_drafts}
local function put_said(keys, k, args, i, last)
  local kinds = tonumber(args[i])
  if kinds == 0 then return i + 1, k, false end
  check_said(keys, k, args, i, last)
  local number, life, field, again, held = args[i + 1], args[i + 2], args[i + 3], false, false
  i = i + 4
  if number ~= '' then
    local of, last = string.match(redis.call('HGET', keys[k], field) or '', '^(%d+) (%d+)$')
    again = of == life and tonumber(last) >= tonumber(number)
    if not again then redis.call('HSET', keys[k], field, life .. ' ' .. number) end
    k = k + 1
  end
  for _ = 1, kinds do
    local first, final = i + 3, i + 2 + tonumber(args[i + 2])
    held = put_kind[args[i]](keys, k, args, first, again and 0 or final) or held
    i, k = final + 1, k + tonumber(args[i + 1])
  end
  return i, k, held
end
