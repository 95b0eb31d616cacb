-- cut_done(mailbox, backlog, args, i) -> i, "empty" or false
-- Reads from args[i] on where to cut: "" and "?": then as remove_done; "?" asks whether nothing is left. Or an entry id: all messages
-- before it are done. Then n, then n times: child, m (how many of its messages). One cut is quicker than to delete one by one: for each,
-- Redis walks through its block of the stream from the beginning.
local function cut_done(mailbox, backlog, args, i)
  local cut, n = args[i], tonumber(args[i + 1])
  if cut == '' or cut == '?' then
    i = remove_done(mailbox, backlog, args, i + 1)
    return i, cut == '?' and redis.call('XLEN', mailbox) == 0 and 'empty'
  end
  local names, done, total = {}, {}, 0
  i = i + 2
  for d = 1, n do
    local m = args[i + 1] == '1' and 1 or tonumber(args[i + 1])
    names[d], done[d], total, i = args[i], m, total + m, i + 2
  end
  local counts = backlog_of(backlog, names)
  local removed = redis.call('XTRIM', mailbox, 'MINID', cut)
  if removed > 0 then backlog_less(mailbox, backlog, names, counts, done, removed, total) end
  return i, false
end
