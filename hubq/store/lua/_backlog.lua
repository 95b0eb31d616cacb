-- How many messages wait for each child of a shard: kept in a hash, no entry for none.
-- each_part(list, first, last, act): act on the items in parts small enough for one command.
local function each_part(list, first, last, act)
  for i = first, last, 1000 do act(unpack(list, i, i + 999 < last and i + 999 or last)) end
end
-- backlog_set(backlog, names, counts): names[k] has counts[k] messages waiting.
local function backlog_set(backlog, names, counts)
  local left, none = {}, {}
  for k, child in ipairs(names) do
    if counts[k] > 0 then
      left[#left + 1] = child
      left[#left + 1] = counts[k]
    else
      none[#none + 1] = child
    end
  end
  if #left > 0 then each_part(left, 1, #left, function(...) redis.call('HSET', backlog, ...) end) end
  if #none > 0 then each_part(none, 1, #none, function(...) redis.call('HDEL', backlog, ...) end) end
end
-- backlog_less(mailbox, backlog, names, done, removed, total): done[k] messages of names[k] are gone. None of them if the
-- commit is repeated; if only some were there, the mailbox itself is counted.
local function backlog_less(mailbox, backlog, names, done, removed, total)
  local counts = {}
  if removed == total then
    each_part(names, 1, #names, function(...)
      for _, waiting in ipairs(redis.call('HMGET', backlog, ...)) do
        counts[#counts + 1] = (tonumber(waiting or 0) or 0) - done[#counts + 1]
      end
    end)
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
