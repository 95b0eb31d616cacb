-- Puts messages of one sender into the mailboxes of one or more shards.
-- KEYS: sender, then per shard: mailbox, children, backlog, dormant (only looked up)
-- ARGV: sender ttl ms, bounds (see _bounds), key of `partitioned` if there is a stop or a spec among them, else '' (only read: as one
--       of KEYS it would take the right to write it), sender; if all messages are alike, what is the same for them: kind, method,
--       reply_to, timeout ms, else ''; then per shard: n, then n times: seq, child, payload, and if they are not alike kind, method,
--       reply_to, timeout ms (its id is its seq; without reply_to it is sender#seq); then seq, spec of each message that starts its child
-- Returns: nothing, if it is "ok" for all of them; else per message "ok" | "duplicate" | "stale" | "unknown" | "full <waiting>" |
--          "heavy <bytes>" | "partitioned <why>" (a stop or a start while the hub has no quorum; calls and casts wait) |
--          "refused <why>" (a key of its shard is of another type: those to other shards are sent)
-- include: _time
-- include: _window
-- include: _put_message
-- include: _bounds
local partitioned = ARGV[3] ~= '' and redis.call('GET', ARGV[3])
local stride, i = alike and 3 or 7, alike and 9 or 6
local window, limit, most = window_load(KEYS[1], tonumber(ARGV[i + 1])), bounds_of(ARGV[2])
local now, answers, answered, good, few = nil, {}, 0, 0, {'1', '2', '3', '4'} -- few: as text (Redis takes long to write a number)
for k = 2, #KEYS, 4 do
  local mailbox, backlog, n, names = KEYS[k], KEYS[k + 2], tonumber(ARGV[i]), {}
  local first, last, refused = i + 1, i + stride * n, most and heavy(mailbox, most)
  for m = 1, n do names[m] = ARGV[i + stride * (m - 1) + 2] end
  local before, waiting, grown = redis.pcall('HMGET', backlog, unpack(names)), {}, {}
  for m = 1, n do waiting[names[m]] = before[m] and tonumber(before[m]) or 0 end
  for at = first, last, stride do
    local seq, child, h = tonumber(ARGV[at]), ARGV[at + 1], alike and 5 or at + 3
    local answer = window_judge(window, seq)
    if answer == 'new' then
      local spec, there = nil, before.err and before or redis.pcall('HEXISTS', KEYS[k + 1], child)
      if there == 0 then there = redis.pcall('HEXISTS', KEYS[k + 3], child) end
      local why = there ~= 1 and spoilt(there)
      if why then
        answer = 'refused ' .. why
      elseif there == 0 then
        spec = spec_of(ARGV[at])
        answer = not spec and 'unknown' or partitioned and 'partitioned ' .. partitioned or 'new'
      end
      if answer ~= 'new' then -- refused
      elseif waiting[child] >= limit then
        answer = 'full ' .. integer(waiting[child])
      elseif refused and ARGV[h] ~= 'stop' then
        answer = refused
      elseif partitioned and ARGV[h] == 'stop' then
        answer = 'partitioned ' .. partitioned
      else
        local timeout, deadline = ARGV[h + 3] ~= '0' and tonumber(ARGV[h + 3]) or 0, '0'
        if timeout > 0 then now = now or now_ms() end
        if timeout > 0 then deadline = now + timeout end
        why = put_message(k, at, h, child, spec, deadline)
        if why then
          answer = 'refused ' .. why
        else
          waiting[child], grown[child], answer, good = waiting[child] + (spec and 2 or 1), true, 'ok', good + 1
          window_mark(window, seq)
        end
      end
    end
    answered = answered + 1
    answers[answered] = answer
  end
  local changed, c = {}, 0
  for _, child in ipairs(names) do
    local count = grown[child] and waiting[child]
    if count then changed[c + 1], changed[c + 2], grown[child], c = child, few[count] or count, nil, c + 2 end
  end
  if c > 0 then redis.call('HSET', backlog, unpack(changed)) end
  i = last + 1
end
window_save(window, ARGV[1])
return good < answered and answers or {}
