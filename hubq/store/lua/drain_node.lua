-- A node is no longer a place for shards; it stays a member until it has handed over what it owns.
-- KEYS: nodes, epoch, events
-- ARGV: node, incarnation ("" = whichever is up), kept events
-- Returns: "draining" | "gone"
-- include: _tell
-- include: _types
-- include: _told_epoch
-- include: _owner
local info = redis.call('HGET', KEYS[1], ARGV[1])
if not info or (ARGV[2] ~= '' and not alive(KEYS[1], ARGV[1], ARGV[2])) then return 'gone' end
local changed, n = string.gsub(info, '"status":"up"', '"status":"draining"', 1)
if n == 0 then return 'draining' end
texts(KEYS[2])
redis.call('HDEL', KEYS[1], ARGV[1])  -- a script that has written once may go on when the memory is full
redis.call('HSET', KEYS[1], ARGV[1], changed)
local epoch = integer(told_epoch(KEYS[2], KEYS[3]) + 1)
redis.call('SET', KEYS[2], epoch)
tell(KEYS[3], ARGV[3], 'type', 'node_draining', 'node', ARGV[1], 'epoch', epoch)
return 'draining'
