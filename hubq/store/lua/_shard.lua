-- shard_keys(shard, k): what a crash or a dead letter may change of a shard: seven keys, from KEYS[k] on.
-- check_shard(at): the script is refused if one of these is of another type (see _types).
-- include: _types
local function shard_keys(shard, k)
  return {shard = shard, mailbox = KEYS[k], children = KEYS[k + 1], backlog = KEYS[k + 2], parked = KEYS[k + 3],
    tries = KEYS[k + 4], dead = KEYS[k + 5], dormant = KEYS[k + 6]}
end
local function check_shard(at)
  streams(at.mailbox, at.dead)
  hashes(at.children, at.backlog, at.parked, at.tries)
end
