-- bury_letters(backlog, mailbox, keys, k, args, i) -> k, i after them: messages that this commit deletes are kept as dead letters.
-- Takes from keys[k] on: dead, then for each class the list of its letters. Reads from args[i] on: how many letters a shard
-- keeps; n classes, then n times: class, how many of its letters a shard keeps, m, then m times: entry id, why, error.
-- A message that is not in the mailbox has its letter already: the commit is repeated. A letter larger than PLACE counts as
-- several in the list of its class; the oldest of a class go first. docs/dead-letters.md.
-- include: _types
local PLACE, LIST_TTL = 16384, 604800000
local function bury_letters(backlog, mailbox, keys, k, args, i)
  local dead, most, classes = keys[k], args[i], tonumber(args[i + 1])
  hashes(backlog) -- (it is written when the messages are gone, and with them the proof that they have their letters)
  streams(dead)
  lists(unpack(keys, k + 1, k + classes))
  redis.call('XDEL', mailbox, '0-0')  -- a script that has written once may go on when the memory is full
  k, i = k + 1, i + 2
  for _ = 1, classes do
    local list, class, kept, n = keys[k], args[i], tonumber(args[i + 1]), tonumber(args[i + 2])
    k, i = k + 1, i + 3
    for _ = 1, n do
      local entry, why, err = args[i], args[i + 1], args[i + 2]
      local message = redis.call('XRANGE', mailbox, entry, entry)[1]
      i = i + 3
      if message then
        local fields, size, places = message[2], 0, {}
        for _, part in ipairs({'entry', entry, 'class', class, 'tries', '0', 'crashes', '', 'why', why, 'error', err}) do
          fields[#fields + 1] = part
        end
        for _, part in ipairs(fields) do size = size + #part end
        local letter = redis.call('XADD', dead, 'MAXLEN', most, '*', unpack(fields))
        for place = 1, math.min(kept, 1000, 1 + math.floor(size / PLACE)) do places[place] = letter end
        redis.call('RPUSH', list, unpack(places))
        local over = math.min(redis.call('LLEN', list) - kept, 1000)
        if over > 0 then redis.call('XDEL', dead, unpack(redis.call('LPOP', list, over))) end
        redis.call('PEXPIRE', list, LIST_TTL)
      end
    end
  end
  return k, i
end
