-- Sends a dead letter again.
-- KEYS: owners, seven of the shard (see _shard), then the control mailbox of each node that is named
-- ARGV: shard, entry of the letter, then nodes
-- Returns: {"ok"} | {"gone"} (no such letter) | {"unknown"} (the child is no more; the letter stays) |
--          {"malformed"} (it was no message; the letter stays) |
--          {"needs", node} (see _named)
-- include: _owner
-- include: _named
-- include: _shard
-- include: _replay
local at, controls = shard_keys(ARGV[1], 2), named_keys(3, #ARGV, 9)
check_shard(at)
local letter = redis.call('XRANGE', at.dead, ARGV[2], ARGV[2])[1]
if not letter then return {'gone'} end
return lacking(controls, {reviver(KEYS[1], at, letter)}) or {replay(KEYS[1], at, letter, controls)}
