-- put_said(keys, k, args, i): what children of this shard say beyond states and replies, kind by kind. -> i, k, held
-- Takes from keys[k] on:
--   the node's number of its last commit of this shard or pin that said something   only if something is said and the commit has a number
--   those of each kind
-- Reads from args[i] on:
--   how many kinds (0: nothing else follows), number of the commit ('' = its script has effect once anyway), life of the node,
--   then per kind: its name, how many keys, how many arguments, then these (a routine gets 0 as the last one of them if the
--   commit is repeated: all of it is said already)
-- held: something waits in the outbox.
-- include: _sends
-- include: _far
-- include: _keeps
-- include: _feeds
-- include: _put_reminders
-- include: _put_jobs
-- include: _close_drafts
local put_kind = {sends = put_sends, far = put_all_far, keeps = put_keeps, feeds = put_published, reminders = put_reminders, jobs = put_jobs,
  drafts = close_drafts}
local function put_said(keys, k, args, i)
  local kinds = tonumber(args[i])
  if kinds == 0 then return i + 1, k, false end
  local number, life, again, held = args[i + 1], args[i + 2], false, false
  i = i + 3
  if number ~= '' then
    local of, last = string.match(redis.call('GET', keys[k]) or '', '^(%d+) (%d+)$')
    again = of == life and tonumber(last) >= tonumber(number)
    if not again then redis.call('SET', keys[k], life .. ' ' .. number, 'PX', 3600000) end
    k = k + 1
  end
  for _ = 1, kinds do
    local first, last = i + 3, i + 2 + tonumber(args[i + 2])
    held = put_kind[args[i]](keys, k, args, first, again and 0 or last) or held
    i, k = last + 1, k + tonumber(args[i + 1])
  end
  return i, k, held
end
