-- Takes shards whose owner is no longer a member. An owner that is gone without having parked them has crashed.
-- KEYS: owners, nodes, events, epoch, stragglers
-- ARGV: node, incarnation, kept events, prefix of keys, kept dead letters, reply ttl ms,
--       n shards, then the shards, then fields of pins ("shard/child") that may be dead
-- Returns: "evicted" alone, or "ok" and then shard, token of each one taken (the others have a live owner)
-- include: _time
-- include: _owner
-- include: _convict
-- include: _crash
if not alive(KEYS[2], ARGV[1], ARGV[2]) then return {'evicted'} end
redis.call('HDEL', KEYS[1], '')  -- a script that has written once may go on when the memory is full
local hub = {ARGV[4], KEYS[2], KEYS[3], ARGV[3], ARGV[5], ARGV[6]}
local taken, names, counted, freed, count = {'ok'}, {}, {}, false, tonumber(ARGV[7])
local function crashed(shard, node, incarnation)
  local crash = shard .. ' ' .. node .. ' ' .. incarnation
  if not counted[crash] then after_crash(hub, shard, node, incarnation) end
  counted[crash] = true
end
for i = 8, 7 + count do
  local node, incarnation, token = split_owner(redis.call('HGET', KEYS[1], ARGV[i]))
  if node == '-' or not alive(KEYS[2], node, incarnation) then
    local next_token = integer(tonumber(token) + 1)
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. next_token)
    taken[#taken + 1] = ARGV[i]
    taken[#taken + 1] = next_token
    names[#names + 1] = ARGV[i]
    if node ~= '-' then crashed(ARGV[i], node, incarnation) end
  end
end
for i = 8 + count, #ARGV do
  local node, incarnation = split_owner(redis.call('HGET', KEYS[1], ARGV[i]))
  if node ~= '-' and not alive(KEYS[2], node, incarnation) then
    redis.call('HDEL', KEYS[1], ARGV[i])
    freed = true
    crashed(string.match(ARGV[i], '^(%d+)/'), node, incarnation)
    redis.call('HDEL', KEYS[5], string.match(ARGV[i], '/(.*)$'))
  end
end
if #names > 0 or freed then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'type', 'shards_claimed', 'node', ARGV[1],
    'shards', table.concat(names, ','))
end
return taken
