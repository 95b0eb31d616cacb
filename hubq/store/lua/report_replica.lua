-- A follower says how far it has read the log; what no live follower needs any more is cut off.
-- KEYS: nodes, replicas, log
-- ARGV: node, incarnation, ttl ms, number, entry id, status (building|ready)
-- Returns: {"ok", number of the last log entry} | {"gone"}: this node follows no more, and must begin anew
-- include: _owner
local line = redis.call('HGET', KEYS[2], ARGV[1])
if not line or string.match(line, '^(%d+) ') ~= ARGV[2] or not alive(KEYS[1], ARGV[1], ARGV[2]) then return {'gone'} end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. ARGV[4] .. ' ' .. ARGV[5] .. ' ' .. ARGV[6])
local lowest, entry = tonumber(ARGV[4]), ARGV[5]
local all = redis.call('HGETALL', KEYS[2])
for i = 1, #all, 2 do
  if all[i] ~= '#' then
    local incarnation, number, at = string.match(all[i + 1], '^(%d+) (%d+) (%S+) ')
    if not alive(KEYS[1], all[i], incarnation) then
      redis.call('HDEL', KEYS[2], all[i])
    elseif tonumber(number) < lowest then
      lowest, entry = tonumber(number), at
    end
  end
end
if entry ~= '0' then redis.call('XTRIM', KEYS[3], 'MINID', entry) end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('PEXPIRE', KEYS[3], ARGV[3] * 2)
return {'ok', redis.call('HGET', KEYS[2], '#') or ARGV[4]}
