-- Writes down where a child is wanted, or (with an empty line) that it has no wish any more.
-- KEYS: children of its shard, pins, pins epoch, nodes, events, stragglers, dormant children of its shard (only looked up)
-- ARGV: child, shard, node, line of the wish, kept events
-- Returns: "ok" | "unknown" | "dormant" (only a wish can be taken back then) | "no_node" | "draining"
-- include: _tell
-- include: _types
-- include: _told_epoch
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  if redis.call('HEXISTS', KEYS[7], ARGV[1]) == 0 then return 'unknown' end
  if ARGV[4] ~= '' then return 'dormant' end
end
hashes(KEYS[2], KEYS[6])
texts(KEYS[3])
if ARGV[4] ~= '' then
  local info = redis.call('HGET', KEYS[4], ARGV[3])
  if not info then return 'no_node' end
  if string.find(info, '"status":"draining"', 1, true) then return 'draining' end
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[4])
else
  redis.call('HDEL', KEYS[2], ARGV[1])
end
redis.call('HDEL', KEYS[6], ARGV[1])
redis.call('SET', KEYS[3], integer(told_epoch(KEYS[3], KEYS[5]) + 1))
tell(KEYS[5], ARGV[5], 'type', 'child_wanted', 'node', ARGV[3], 'shard', ARGV[2],
  'child', ARGV[1])
return 'ok'
