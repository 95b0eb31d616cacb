-- Decides an all-or-nothing start, once and for all.
-- KEYS: batch
-- ARGV: "seal" | "undo", how many shards have a mark of it
-- Returns: "sealed" | "undone" (whatever was decided first; a batch that is gone was undone)
local state = redis.call('GET', KEYS[1])
if not state then return 'undone' end
if state ~= 'open' then return 'sealed' end
if ARGV[1] == 'seal' then
  redis.call('SET', KEYS[1], 'sealed ' .. ARGV[2])
  return 'sealed'
end
redis.call('DEL', KEYS[1])
return 'undone'
