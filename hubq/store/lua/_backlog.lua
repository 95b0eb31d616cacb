-- How many messages wait for each child of a shard: kept in a hash, no entry for none.
-- each_part(list, first, last, act): act on the items in parts small enough for one command.
local function each_part(list, first, last, act)
  for i = first, last, 1000 do act(unpack(list, i, i + 999 < last and i + 999 or last)) end
end
-- backlog_set(backlog, names, counts): names[k] has counts[k] messages waiting.
local function backlog_set(backlog, names, counts)
  local left, none, l, n = {}, {}, 0, 0
  for k, child in ipairs(names) do
    if counts[k] > 0 then
      left[l + 1], left[l + 2], l = child, counts[k], l + 2
    else
      n = n + 1
      none[n] = child
    end
  end
  if l > 0 then each_part(left, 1, l, function(...) redis.call('HSET', backlog, ...) end) end
  if n > 0 then each_part(none, 1, n, function(...) redis.call('HDEL', backlog, ...) end) end
end
-- backlog_of(backlog, names) -> how many wait for each of them. It is read before their messages are deleted.
-- backlog_less(mailbox, backlog, names, counts, done, removed, total): done[k] messages of names[k] are gone; counts[k] there were.
-- None is gone if the commit is repeated; if only some were there, the mailbox itself is counted.
local function backlog_of(backlog, names)
  local counts, k = {}, 0
  each_part(names, 1, #names, function(...)
    for _, waiting in ipairs(redis.call('HMGET', backlog, ...)) do
      k = k + 1
      counts[k] = waiting == '1' and 1 or tonumber(waiting or 0) or 0
    end
  end)
  return counts
end
local function backlog_less(mailbox, backlog, names, counts, done, removed, total)
  if removed == total then
    for k = 1, #names do counts[k] = counts[k] - done[k] end
  else
    local place, after = {}, '-'
    for k, child in ipairs(names) do place[child], counts[k] = k, 0 end
    repeat
      local some = redis.call('XRANGE', mailbox, after, '+', 'COUNT', 1000)
      for _, entry in ipairs(some) do
        local k = place[entry[2][4]]
        if k then counts[k] = counts[k] + 1 end
        after = '(' .. entry[1]
      end
    until #some < 1000
  end
  backlog_set(backlog, names, counts)
end
