-- A node that owns nothing any more leaves.
-- KEYS: nodes, leases, epoch, events, the node's control mailbox
-- ARGV: node, incarnation, kept events
-- Returns: "left" | "gone"
-- include: _time
-- include: _owner
if not alive(KEYS[1], ARGV[1], ARGV[2]) then return 'gone' end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[5])
local epoch = integer(redis.call('INCR', KEYS[3]))
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[3], '*', 'type', 'node_left', 'node', ARGV[1], 'epoch', epoch)
return 'left'
