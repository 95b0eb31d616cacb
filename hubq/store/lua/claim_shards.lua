-- Takes shards whose owner is no longer a member. An owner that is gone without having parked them has crashed.
-- KEYS: owners, nodes, events, stragglers, then seven for each shard with keys (see _shard), then the reply list of each caller
-- ARGV: node, incarnation, kept events, kept dead letters, reply ttl ms, n shards, how many shards with keys (the n, and those
--       of the pins), how many callers, then the shards, then the callers, then fields of pins ("shard/child") that may be dead
-- Returns: "evicted" alone, or "ok" and then shard, token of each one taken (the others have a live owner); or "needs" and
--          then callers (see _named)
-- include: _tell
-- include: _time
-- include: _owner
-- include: _named
-- include: _shard
-- include: _convict
-- include: _counting
-- include: _crash
if not alive(KEYS[2], ARGV[1], ARGV[2]) then return {'evicted'} end
hashes(KEYS[4])
local count, shards, callers = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local hub = {nodes = KEYS[2], events = KEYS[3], kept = ARGV[3], letters = ARGV[4], reply_ttl = ARGV[5],
  replies = named_keys(9 + shards, 8 + shards + callers, 5 + 7 * shards)}
local places, seen, crashes, free, dead = {}, {}, {}, {}, {}
for n = 1, shards do places[ARGV[8 + n]] = shard_keys(ARGV[8 + n], 7 * n - 2) end
local function crashed(shard, node, incarnation)
  local crash = shard .. ' ' .. node .. ' ' .. incarnation
  if not seen[crash] then crashes[#crashes + 1] = crash_of(hub, places[shard], node, incarnation) end
  seen[crash] = true
end
for i = 9, 8 + count do
  local node, incarnation, token = split_owner(redis.call('HGET', KEYS[1], ARGV[i]))
  if node == '-' or not alive(KEYS[2], node, incarnation) then
    free[#free + 1] = {shard = ARGV[i], token = integer(tonumber(token) + 1)}
    if node ~= '-' then crashed(ARGV[i], node, incarnation) end
  end
end
for i = 9 + shards + callers, #ARGV do
  local node, incarnation = split_owner(redis.call('HGET', KEYS[1], ARGV[i]))
  if node ~= '-' and not alive(KEYS[2], node, incarnation) then
    dead[#dead + 1] = ARGV[i]
    crashed(string.match(ARGV[i], '^(%d+)/'), node, incarnation)
  end
end
local needs = lacking(hub.replies, callers_of(crashes))
if needs then return needs end
redis.call('HDEL', KEYS[1], '')  -- a script that has written once may go on when the memory is full
local taken, names = {'ok'}, {}
for n, one in ipairs(free) do
  redis.call('HSET', KEYS[1], one.shard, ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. one.token)
  taken[2 * n], taken[2 * n + 1], names[n] = one.shard, one.token, one.shard
end
for _, pin in ipairs(dead) do
  redis.call('HDEL', KEYS[1], pin)
  redis.call('HDEL', KEYS[4], string.match(pin, '/(.*)$'))
end
for _, crash in ipairs(crashes) do write_crash(hub, crash) end
if #free > 0 or #dead > 0 then
  tell(KEYS[3], ARGV[3], 'type', 'shards_claimed', 'node', ARGV[1],
    'shards', table.concat(names, ','))
end
return taken
