-- convict(hub, shard, tries, what, child, entry, count, crashes): what took its node down again and again is set aside.
-- A message becomes a dead letter with its circumstances, and its caller is told; a child whose start did it is parked.
local function convict(hub, shard, tries, what, child, entry, count, crashes)
  local base = hub[1] .. 'shard:' .. shard .. ':'
  local spec = redis.call('HGET', base .. 'children', child)
  local class = spec and string.match(spec, '"name":"([^"]*)"') or ''
  local circumstances = {'entry', entry, 'class', class, 'tries', count, 'crashes', crashes}
  if what == 'message' then
    local fields = redis.call('XRANGE', base .. 'mailbox', entry, entry)[1][2]
    for _, part in ipairs(circumstances) do fields[#fields + 1] = part end
    local letter = redis.call('XADD', base .. 'dead', 'MAXLEN', hub[5], '*', unpack(fields))
    redis.call('XDEL', base .. 'mailbox', entry)
    if redis.call('HINCRBY', base .. 'backlog', child, -1) <= 0 then redis.call('HDEL', base .. 'backlog', child) end
    redis.call('HDEL', tries, 'message ' .. child)
    local field = {}
    for i = 1, #fields, 2 do field[fields[i]] = fields[i + 1] end
    if field.reply_to ~= '' then
      local text = child .. '.' .. field.method .. ' was in hand each time ' .. count .. ' workers died (' .. crashes ..
        '): it is dead letter ' .. shard .. '/' .. letter .. ' now; see `hubq dead show`'
      local key = hub[1] .. 'reply:' .. field.reply_to
      redis.call('RPUSH', key, field.id .. ' poisoned ' .. string.match(crashes, '(%S+)#%d+$') .. '\n' ..
        cjson.encode({type = 'Poisoned', message = text, traceback = ''}))
      redis.call('PEXPIRE', key, hub[6])
    end
  else
    redis.call('XADD', base .. 'dead', 'MAXLEN', hub[5], '*', 'kind', 'start', 'child', child, 'method', '', 'id', '',
      'reply_to', '', 'deadline', '0', 'payload', '', unpack(circumstances))
    redis.call('HSET', base .. 'parked', child, 'starting it took down ' .. count .. ' workers (' .. crashes ..
      '): mend it, then `hubq dead replay`')
    redis.call('HDEL', tries, 'start ' .. child)
  end
  redis.call('XADD', hub[3], 'MAXLEN', '~', hub[4], '*', 'type', 'poisoned', 'shard', shard, 'child', child,
    'what', what, 'tries', count, 'crashes', crashes)
end
