-- Removes a node whose lease is over, by Redis TIME. Its shards are free to be claimed then.
-- KEYS: nodes, leases, epoch, events, the node's control mailbox, what clients asked of it, the numbers of what its children said
-- ARGV: node, by whom, kept events
-- Returns: "evicted" | "alive" | "gone"
-- include: _tell
-- include: _types
-- include: _told_epoch
local lease = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not lease then return 'gone' end
if tonumber(lease) > now_ms() then return 'alive' end
hashes(KEYS[1])
texts(KEYS[3])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[5], KEYS[6])
-- A commit of it may still be on its way, and its first one that says something, too: so this key is there, and goes in a minute.
redis.pcall('HSET', KEYS[7], '', '')
redis.call('PEXPIRE', KEYS[7], 60000)
local epoch = integer(told_epoch(KEYS[3], KEYS[4]) + 1)
redis.call('SET', KEYS[3], epoch)
tell(KEYS[4], ARGV[3], 'type', 'node_evicted', 'node', ARGV[1], 'by', ARGV[2],
  'epoch', epoch)
return 'evicted'
