-- An owner takes a new token for what it owns, so that what it sent under the old one has no effect from here on.
-- KEYS: owners
-- ARGV: owner field, old owner line, new owner line
-- Returns: "renewed" | "fenced"
local line = redis.call('HGET', KEYS[1], ARGV[1])
if line == ARGV[3] then return 'renewed' end
if line ~= ARGV[2] then return 'fenced' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 'renewed'
