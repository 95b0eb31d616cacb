-- convict(hub, at, mark): what took its node down again and again is set aside.
-- A message becomes a dead letter with its circumstances, and its caller is told; a child whose start did it is parked.
--   at: the keys of the shard (see _shard); mark: {what, child, entry, count, crashes, and the fields of the message}
-- include: _one_less
-- include: _tell
local function convict(hub, at, mark)
  local child, count, crashes = mark.child, mark.count, mark.crashes
  local spec = redis.call('HGET', at.children, child)
  local class = spec and string.match(spec, '"name":"([^"]*)"') or ''
  local circumstances = {'entry', mark.entry, 'class', class, 'tries', count, 'crashes', crashes}
  if mark.what == 'message' then
    local fields = mark.message
    for _, part in ipairs(circumstances) do fields[#fields + 1] = part end
    local letter = redis.call('XADD', at.dead, 'MAXLEN', hub.letters, '*', unpack(fields))
    redis.call('XDEL', at.mailbox, mark.entry)
    one_less(at.backlog, child)
    local field = {}
    for i = 1, #fields, 2 do field[fields[i]] = fields[i + 1] end
    if field.reply_to ~= '' then
      local text = child .. '.' .. field.method .. ' was in hand each time ' .. count .. ' workers died (' .. crashes ..
        '): it is dead letter ' .. at.shard .. '/' .. letter .. ' now; see `hubq dead show`'
      local replies = hub.replies[field.reply_to]
      -- (A client of which the list is none hears of it when it reads.)
      redis.pcall('RPUSH', replies, field.id .. ' poisoned ' .. string.match(crashes, '(%S+)#%d+$') .. '\n' ..
        cjson.encode({type = 'Poisoned', message = text, traceback = ''}))
      redis.call('PEXPIRE', replies, hub.reply_ttl)
    end
  else
    redis.call('XADD', at.dead, 'MAXLEN', hub.letters, '*', 'kind', 'start', 'child', child, 'method', '', 'id', '',
      'reply_to', '', 'deadline', '0', 'payload', '', unpack(circumstances))
    redis.call('HSET', at.parked, child, 'starting it took down ' .. count .. ' workers (' .. crashes ..
      '): mend it, then `hubq dead replay`')
  end
  redis.call('HDEL', at.tries, mark.field)
  tell(hub.events, hub.kept, 'type', 'poisoned', 'shard', at.shard, 'child', child,
    'what', mark.what, 'tries', count, 'crashes', crashes)
end
