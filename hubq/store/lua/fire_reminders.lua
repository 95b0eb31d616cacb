-- Moves reminders that are due into the mailbox of their shard. Asked by the shard's owner; done twice, it does nothing more.
-- KEYS: owners, reminders due, what, names, mailbox, children, backlog, dormant (only looked up), pauses
-- ARGV: shard, line of its owner, most reminders, max backlog, ms after which one with a full mailbox is tried again,
--       ms after which a tick is late for "skip", longest ms after which one of a paused child is looked at again
-- Returns: {"fenced"} | {"ok", now ms, when the next one is due ('' = there is none), how many messages were written, then the
--          children and names that were malformed and are deleted}
-- include: _types
-- include: _time
-- include: _reminders
-- include: _paused
-- include: _waiting
-- include: _fire
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {'fenced'} end
local r, now, fired, malformed = reminders_of(KEYS, 2), now_ms(), 0, {}
hashes(KEYS[3], KEYS[6], KEYS[7], KEYS[8])
zsets(KEYS[4]) -- (the mailbox is written first)
local limit, again, grace = tonumber(ARGV[4]), integer(now + tonumber(ARGV[5])), tonumber(ARGV[6])
local mailbox, backlog = KEYS[5], KEYS[7]
local pauses = redis.call('EXISTS', KEYS[9]) == 1 and KEYS[9]
local members = redis.call('ZRANGEBYSCORE', r.due, '-inf', integer(now), 'LIMIT', 0, ARGV[3])
-- A script that has written once may go on when the memory is full: what moves takes no more of it.
if #members > 0 then redis.call('XDEL', mailbox, '0-0') end
local records = #members > 0 and redis.call('HMGET', r.what, unpack(members)) or {}
local there, waiting, grown, gone = {}, {}, {}, {} -- of each child: whether it is there, its messages; those with new ones; reminders to delete
local function is_there(child)
  if there[child] == nil then
    there[child] = redis.call('HEXISTS', KEYS[6], child) == 1 or redis.call('HEXISTS', KEYS[8], child) == 1
    waiting[child] = waiting_for(backlog, child)
  end
  return there[child]
end
local function move(member, child, name, due, every, late, method, payload)
  if pauses and is_paused(pauses, KEYS[6], KEYS[8], child) then -- its ticks are late when it is resumed
    local wait = math.min(math.max(now - tonumber(due), 1000), tonumber(ARGV[7]))
    redis.call('ZADD', r.due, integer(now + wait), member)
    return
  end
  local sends, later = fire(now, grace, tonumber(due), tonumber(every), late)
  if sends then
    if waiting[child] >= limit then
      redis.call('ZADD', r.due, again, member)
      return
    end
    redis.call('XADD', mailbox, '*', 'kind', 'cast', 'child', child, 'method', method, 'id', 'reminder ' .. name .. '#0',
      'reply_to', '', 'deadline', '0', 'payload', payload)
    waiting[child], grown[#grown + 1], fired = waiting[child] + 1, child, fired + 1
  end
  if later then set_reminder(r, child, name, integer(later), every, late, method, payload) else gone[#gone + 1] = member end
end
for n, member in ipairs(members) do
  local child, name = string.match(member, '^([^\n]+)\n(.+)$')
  local at, every, late, method, payload = string.match(records[n] or '', '^(%d+) (%d+) (%a+) ([^\n]*)\n(.*)$')
  if child and at and #at < 16 and #every < 16 and is_there(child) then
    move(member, child, name, at, every, late, method, payload)
  else
    gone[#gone + 1] = member
    malformed[#malformed + 1] = member
  end
end
for _, child in ipairs(grown) do redis.call('HSET', backlog, child, waiting[child]) end
if #gone > 0 then
  redis.call('ZREM', r.due, unpack(gone))
  redis.call('ZREM', r.names, unpack(gone))
  redis.call('HDEL', r.what, unpack(gone))
end
local answer = {'ok', integer(now), redis.call('ZRANGE', r.due, 0, 0, 'WITHSCORES')[2] or '', fired}
for _, member in ipairs(malformed) do answer[#answer + 1] = member end
return answer
