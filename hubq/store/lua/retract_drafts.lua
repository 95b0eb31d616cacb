-- The message of a handling was undone: its drafts never were. Sent twice, it does nothing more.
-- KEYS: owners, feed of the child, drafts
-- ARGV: owner field, owner line, field of drafts, name of the handling, topic of a retraction
-- Returns: "ok" | "fenced" | "gone" (it has no open drafts)
-- include: _retract
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 'fenced' end
local name = string.match(redis.call('HGET', KEYS[3], ARGV[3]) or '', '^(%S+) ')
if name ~= ARGV[4] then return 'gone' end
retract(KEYS[2], name, ARGV[5])
redis.call('HDEL', KEYS[3], ARGV[3])
return 'ok'
