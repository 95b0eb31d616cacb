-- A message in hand (or the start of a child) has taken its node down: it is known which one, and it alone is counted.
-- KEYS: owners, events, seven of the shard (see _shard), then the reply list of each caller
-- ARGV: owner field, owner line, shard, field of "tries", entry ("-" for a start), the crash ("node#incarnation"),
--       kept events, kept dead letters, reply ttl ms, then callers
-- Returns: {"counted"} | {"condemned"} | {"gone"} | {"fenced"} | {"needs", callers...} (see _named)
-- include: _owner
-- include: _named
-- include: _shard
-- include: _convict
-- include: _counting
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {'fenced'} end
local at, field, entry, crash = shard_keys(ARGV[3], 3), ARGV[4], ARGV[5], ARGV[6]
check_shard(at)
local hub = {events = KEYS[2], kept = ARGV[7], letters = ARGV[8], reply_ttl = ARGV[9],
  replies = named_keys(10, #ARGV, 10)}
local what, child = string.match(field, '^(%a+) (.*)$')
local message = what == 'message' and redis.call('XRANGE', at.mailbox, entry, entry)[1]
if what == 'message' and not message then return {'gone'} end
local marked, count, _, crashes = string.match(redis.call('HGET', at.tries, field) or '', '^(%S+) (%d+) (%S+) ?(.*)$')
if marked ~= entry then count, crashes = 0, '' end
if string.find(' ' .. crashes .. ' ', ' ' .. crash .. ' ', 1, true) then return {'counted'} end
local mark = {field = field, what = what, child = child, entry = entry, count = tonumber(count) + 1,
  crashes = with_crash(crashes, crash), message = message and message[2]}
if mark.count >= MOST_TRIES then
  local needs = lacking(hub.replies, callers_of({{marks = {mark}}}))
  if needs then return needs end
  redis.call('HDEL', at.tries, '')  -- a script that has written once may go on when the memory is full
  convict(hub, at, mark)
  return {'condemned'}
end
redis.call('HDEL', at.tries, '')
-- The next node must watch the shard up to this message at least, and mark it before it is handled.
local last, stage, watched = watch_of(at.tries)
redis.call('HSET', at.tries, 'watch', (what == 'message' and later(last, entry) or last) .. ' ' .. stage .. ' ' .. watched)
redis.call('HSET', at.tries, field, entry .. ' ' .. mark.count .. ' - ' .. mark.crashes)
return {'counted'}
