-- A node becomes a member; its incarnation is the new epoch.
-- KEYS: nodes, leases, epoch, events, config, the life of this name that has left last, the numbers of what its children said
-- ARGV: node, info as JSON text without its outer braces, lease ms, kept events, shards, wire version, incarnation it had before (0: none), highest epoch
--       it knows
-- A join of a life that has left again (a late packet) is refused: nobody would be there.
-- Returns: {"ok", incarnation, now ms, epoch there was, lease it had, when the hub's first node joined (ms; 0: unknown)} | {"name_taken", end of the lease ms, now ms} | {"mismatch", shards, wire} | {"left"}
-- include: _tell
-- include: _types
-- include: _time
-- include: _owner
-- include: _told_epoch
hashes(KEYS[1])
zsets(KEYS[2])
texts(KEYS[3], KEYS[6])
redis.call('HDEL', KEYS[5], '')  -- a script that has written once may go on when the memory is full
redis.call('HSETNX', KEYS[5], 'shards', ARGV[5])
redis.call('HSETNX', KEYS[5], 'wire', ARGV[6])
local set = redis.call('HMGET', KEYS[5], 'shards', 'wire')
if set[1] ~= ARGV[5] or set[2] ~= ARGV[6] then return {'mismatch', set[1], set[2]} end
local life = string.match(ARGV[2], '"life":"(%x+)"')
if life and redis.call('GET', KEYS[6]) == life then return {'left'} end
local now = now_ms()
local lease = redis.call('ZSCORE', KEYS[2], ARGV[1])
if lease and tonumber(lease) > now and not alive(KEYS[1], ARGV[1], ARGV[7]) then return {'name_taken', integer(tonumber(lease)), integer(now)} end
-- Never an incarnation that this node has seen already, even if Redis has lost writes.
local before = told_epoch(KEYS[3], KEYS[4])
local epoch = integer(math.max(before, tonumber(ARGV[8])) + 1)
redis.call('SET', KEYS[3], epoch)
if before == 0 then redis.call('HSETNX', KEYS[5], 'began', integer(now)) end
redis.call('PERSIST', KEYS[7])
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1],
  '{"incarnation":' .. epoch .. ',"status":"up","joined_at":' .. integer(now) .. ',' .. ARGV[2] .. '}')
tell(KEYS[4], ARGV[4], 'type', 'node_joined', 'node', ARGV[1], 'epoch', epoch)
return {'ok', epoch, integer(now), integer(before), integer(tonumber(lease or 0)),
  redis.call('HGET', KEYS[5], 'began') or '0'}
