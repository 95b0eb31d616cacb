-- The leader says which node each shard should be on. Only the member that is up longest may, and only with a newer epoch.
-- KEYS: nodes, leases, assignment, events
-- ARGV: node, incarnation, epoch, shards (JSON), incarnations (JSON), moved (JSON), moves, ttl ms, kept events
-- Returns: "ok" | "not_leader" | "old"
-- include: _tell
-- include: _time
-- include: _owner
local lease = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not lease or tonumber(lease) <= now_ms() or not alive(KEYS[1], ARGV[1], ARGV[2]) then return 'not_leader' end
local members, leads = redis.call('HGETALL', KEYS[1]), false
for i = 1, #members, 2 do
  if string.find(members[i + 1], '"status":"up"', 1, true) then
    local incarnation = tonumber(string.match(members[i + 1], '"incarnation": ?(%d+)'))
    if incarnation < tonumber(ARGV[2]) then return 'not_leader' end
    leads = leads or members[i] == ARGV[1]
  end
end
if not leads then return 'not_leader' end
local before = redis.call('HMGET', KEYS[3], 'epoch', 'leader', 'incarnation')
if before[1] == ARGV[3] and before[2] == ARGV[1] and before[3] == ARGV[2] then return 'ok' end
if tonumber(ARGV[3]) <= tonumber(before[1] or '0') then return 'old' end
redis.call('HSET', KEYS[3], 'epoch', ARGV[3], 'leader', ARGV[1], 'incarnation', ARGV[2], 'at', integer(now_ms()),
  'shards', ARGV[4], 'nodes', ARGV[5], 'moved', ARGV[6])
redis.call('PEXPIRE', KEYS[3], ARGV[8])
if tonumber(ARGV[7]) > 0 then
  tell(KEYS[4], ARGV[9], 'type', 'shards_assigned', 'node', ARGV[1],
    'epoch', ARGV[3], 'moves', ARGV[7])
end
return 'ok'
