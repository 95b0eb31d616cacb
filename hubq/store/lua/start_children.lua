-- Writes the specs of new children of one shard, and one start message for all of them.
-- KEYS: sender, mailbox, children, backlog, dormant (only looked up), batches
-- ARGV: sender ttl ms, seq, id, reply_to, timeout ms, all-or-nothing (1|0), options, batch ('' for none), key of
--       `partitioned` (only read: as one of KEYS it would take the right to write it), then per child: child, spec
-- Returns: per child "ok" | "exists" | "partitioned <why>" (nothing is written then); for a repeated request what the first one did. "stale" alone: too old to judge.
-- With all-or-nothing, one "exists" writes nothing. A spec is unique to its request (it carries the request's id).
-- include: _time
-- include: _window
-- include: _waiting
local seq = tonumber(ARGV[2])
local window = window_load(KEYS[1], seq)
local verdict = window_judge(window, seq)
if verdict == 'stale' then return {'stale'} end
local answers, fresh, clash = {}, {}, false
local resting = verdict == 'new' and redis.call('HLEN', KEYS[5]) > 0 -- (once: most hubs have none)
for i = 10, #ARGV, 2 do
  local there = redis.call('HGET', KEYS[3], ARGV[i]) or (resting and redis.call('HEXISTS', KEYS[5], ARGV[i]) == 1)
  if (verdict == 'new' and not there) or (verdict == 'duplicate' and (not there or there == ARGV[i + 1])) then
    answers[#answers + 1] = 'ok'
    fresh[#fresh + 1] = i
  else
    answers[#answers + 1] = 'exists'
    clash = true
  end
end
if verdict == 'duplicate' or #fresh == 0 or (clash and ARGV[6] == '1') then return answers end
local why = redis.call('GET', ARGV[9])
if why then
  for n, answer in ipairs(answers) do
    if answer == 'ok' then answers[n] = 'partitioned ' .. why end
  end
  return answers
end
local names, batch = {}, ARGV[8] ~= '' and ARGV[4] .. ':' .. ARGV[2]
for n, i in ipairs(fresh) do names[n] = ARGV[i] end
local waiting = waiting_for(KEYS[4], names[1]) + 1
if batch then redis.call('HEXISTS', KEYS[6], batch) end -- (refused if it is of another type)
-- The message belongs to the first of them in the backlog; the node starts all whose spec carries this id.
local timeout = tonumber(ARGV[5])
redis.call('XADD', KEYS[2], '*', 'kind', 'start', 'child', names[1], 'method', ARGV[7],
  'id', ARGV[3], 'reply_to', ARGV[4], 'deadline', timeout > 0 and integer(now_ms() + timeout) or '0',
  'payload', cjson.encode(names))
for _, i in ipairs(fresh) do redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[4], names[1], integer(waiting))
if batch then redis.call('HSET', KEYS[6], batch, ARGV[8]) end
window_mark(window, seq)
window_save(window, ARGV[1])
return answers
