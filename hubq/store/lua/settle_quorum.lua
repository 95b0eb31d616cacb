-- Writes down what follows from a sight of the members: the roll, and whether the hub is partitioned. Only if the members
-- are still those that were seen (every change of them raises the epoch) and nobody has decided since.
-- KEYS: epoch, quorum, partitioned, events
-- ARGV: epoch seen, roll seen ('' for none), roll after, why it is partitioned ('' = it is not), kept events,
--       then the fields of an event (none: no event)
-- Returns: "ok" | "stale"
-- include: _tell
local roll = redis.call('GET', KEYS[2]) or ''
if roll == ARGV[3] then return 'ok' end -- a repeated request
if roll ~= ARGV[2] or (redis.call('GET', KEYS[1]) or '0') ~= ARGV[1] then return 'stale' end
redis.call('DEL', KEYS[3])  -- a script that has written once may go on when the memory is full
redis.call('SET', KEYS[2], ARGV[3])
if ARGV[4] ~= '' then redis.call('SET', KEYS[3], ARGV[4]) end
if #ARGV > 5 then tell(KEYS[4], ARGV[5], unpack(ARGV, 6)) end
return 'ok'
