-- Sends a dead letter again.
-- KEYS: owners
-- ARGV: prefix of keys, shard, entry of the letter
-- Returns: "ok" | "gone" (no such letter) | "unknown" (the child is no more; the letter stays)
-- include: _owner
-- include: _replay
return replay(ARGV[1], KEYS[1], ARGV[2], ARGV[3])
