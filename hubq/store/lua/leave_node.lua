-- A node that owns nothing any more leaves. (With force it leaves anyhow, and gives up what it
-- owns: others may claim it, and do not take it for a crash. What its former incarnations own, and nobody has claimed
-- yet, it gives up in any case: nobody will know then that it has lived on.)
-- KEYS: nodes, leases, epoch, events, the node's control mailbox, owners, the life of this name that has left last,
--       what clients asked of the node, the numbers of what its children said
-- ARGV: node, incarnation, kept events, force (1|0)
-- Returns: "left" | "owner" | "gone"
-- include: _tell
-- include: _types
-- include: _told_epoch
-- include: _owner
if not alive(KEYS[1], ARGV[1], ARGV[2]) then return 'gone' end
zsets(KEYS[2])
texts(KEYS[3])
redis.call('HDEL', KEYS[6], '')  -- a script that has written once may go on when the memory is full
local owners, given = redis.call('HGETALL', KEYS[6]), {}
local was = ' ' .. (string.match(redis.call('HGET', KEYS[1], ARGV[1]), '"was": ?"([^"]*)"') or '') .. ' '
for i = 1, #owners, 2 do
  local node, incarnation, token = split_owner(owners[i + 1])
  local shard = string.match(owners[i], '^(%d+)$') or string.match(owners[i], '^(%d+)/') or ''
  local now = incarnation == ARGV[2]
  if node == ARGV[1] and (now or string.find(was, ' ' .. incarnation .. ' ', 1, true)) and shard ~= '' and #shard <= 6 then
    if now and ARGV[4] ~= '1' then return 'owner' end
    given[#given + 1] = {field = owners[i], token = token}
  end -- else nobody can give it away
end
for _, one in ipairs(given) do
  if string.find(one.field, '/', 1, true) then
    redis.call('HDEL', KEYS[6], one.field)
  else
    redis.call('HSET', KEYS[6], one.field, '- 0 ' .. one.token)
  end
end
local life = string.match(redis.call('HGET', KEYS[1], ARGV[1]), '"life":"(%x+)"')
if life then redis.call('SET', KEYS[7], life, 'PX', 60000) end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[5], KEYS[8], KEYS[9])
local epoch = integer(told_epoch(KEYS[3], KEYS[4]) + 1)
redis.call('SET', KEYS[3], epoch)
tell(KEYS[4], ARGV[3], 'type', 'node_left', 'node', ARGV[1], 'epoch', epoch)
return 'left'
