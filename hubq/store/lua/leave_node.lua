-- A node that owns nothing any more leaves. (With force it leaves anyhow, and what it owns may be claimed.)
-- KEYS: nodes, leases, epoch, events, the node's control mailbox, owners
-- ARGV: node, incarnation, kept events, force (1|0)
-- Returns: "left" | "owner" | "gone"
-- include: _time
-- include: _owner
if not alive(KEYS[1], ARGV[1], ARGV[2]) then return 'gone' end
if ARGV[4] ~= '1' then
  for _, line in ipairs(redis.call('HVALS', KEYS[6])) do
    local node, incarnation = split_owner(line)
    if node == ARGV[1] and incarnation == ARGV[2] then return 'owner' end
  end
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[5])
local epoch = integer(redis.call('INCR', KEYS[3]))
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[3], '*', 'type', 'node_left', 'node', ARGV[1], 'epoch', epoch)
return 'left'
