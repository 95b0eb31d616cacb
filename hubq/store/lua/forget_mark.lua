-- A shard's part of an all-or-nothing start is settled: its mark goes, and with the last one the batch (an hour later,
-- so that the caller may ask again).
-- KEYS: batches of the shard, batch
-- ARGV: start id
-- Returns: "ok"
local left = string.match(redis.call('GET', KEYS[2]) or '', '^sealed (%d+)$')
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 then return 'ok' end
if left then
  redis.call('SET', KEYS[2], 'sealed ' .. string.format('%d', math.max(0, tonumber(left) - 1)))
  if tonumber(left) <= 1 then redis.call('PEXPIRE', KEYS[2], 3600000) end
end
return 'ok'
