-- The owner of a shard (or of a pin in it) is gone without having given it up. What it had in hand is counted; what was in
-- hand at three crashes goes to the dead letters. docs/poison.md.
--   hub: {nodes, events, kept = events kept, letters = letters kept, reply_ttl in ms, replies = caller -> key}
-- crash_of(hub, at, node, incarnation): what that changes of the shard with the keys "at"; nil if the node is alive.
-- write_crash(hub, crash): counts, and sets aside. Needs _convict and _counting.
local function crash_of(hub, at, node, incarnation)
  local info = redis.call('HGET', hub.nodes, node)
  local was = info and string.match(info, '"was": ?"([^"]*)"') or ''
  if string.find(' ' .. was .. ' ', ' ' .. incarnation .. ' ', 1, true) then return end -- cut off, but alive
  check_shard(at)
  local crash = {name = node .. '#' .. incarnation, at = at, done = {}, marks = {}}
  local fields = redis.call('HGETALL', at.tries)
  for i = 1, #fields, 2 do
    local what, child = string.match(fields[i], '^(%a+) (.*)$')
    if what then
      local entry, count, by, them = string.match(fields[i + 1], '^(%S+) (%d+) (%S+) ?(.*)$')
      -- (What is no mark, hubq has not written. It is done with.)
      local message = what == 'message' and redis.pcall('XRANGE', at.mailbox, entry or '', entry or '')[1]
      if what == 'message' and not message then
        crash.done[#crash.done + 1] = fields[i] -- it was done after all
      elseif by == crash.name then
        crash.marks[#crash.marks + 1] = {field = fields[i], what = what, child = child, entry = entry,
          count = tonumber(count) + 1, crashes = with_crash(them, crash.name), message = message and message[2]}
      end
    end
  end
  return crash
end
local function write_crash(hub, crash)
  local at = crash.at
  local _, stage, crashes = watch_of(at.tries)
  stage = stage == 'open' and 'starting' or 'careful'
  local last = redis.call('XREVRANGE', at.mailbox, '+', '-', 'COUNT', 1)[1]
  local until_entry = last and last[1] or '0-0'
  redis.call('HSET', at.tries, 'watch', until_entry .. ' ' .. stage .. ' ' .. with_crash(crashes, crash.name))
  for _, field in ipairs(crash.done) do redis.call('HDEL', at.tries, field) end
  for _, mark in ipairs(crash.marks) do
    if mark.count >= MOST_TRIES then
      convict(hub, at, mark)
    else
      redis.call('HSET', at.tries, mark.field, mark.entry .. ' ' .. mark.count .. ' - ' .. mark.crashes)
    end
  end
end
