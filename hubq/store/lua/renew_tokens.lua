-- An owner takes a new token for each of what it owns, so that what it sent under the old ones has no effect from here on.
-- KEYS: owners, events
-- ARGV: node, kept events, then of each: owner field, old owner line, new owner line
-- Returns: "renewed" | "fenced" of each
-- include: _tell
local words, shards = {}, {}
for i = 3, #ARGV, 3 do
  local line = redis.call('HGET', KEYS[1], ARGV[i])
  if line == ARGV[i + 1] then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
    shards[#shards + 1] = string.match(ARGV[i], '^%d+')
  end
  words[#words + 1] = (line == ARGV[i + 1] or line == ARGV[i + 2]) and 'renewed' or 'fenced'
end
if #shards > 0 then
  tell(KEYS[2], ARGV[2], 'type', 'tokens_renewed', 'node', ARGV[1], 'shards', table.concat(shards, ','))
end
return words
