-- Puts messages of one sender into one shard's mailbox.
-- KEYS: sender, mailbox, children, backlog
-- ARGV: sender ttl ms, max backlog, then per message: seq, kind, child, method, id, reply_to, timeout ms, payload
-- Returns: per message "ok" | "duplicate" | "stale" | "unknown" | "full <waiting>"
-- include: _time
-- include: _window
local window = window_load(KEYS[1])
local limit, now, answers = tonumber(ARGV[2]), now_ms(), {}
for i = 3, #ARGV, 8 do
  local seq, child = tonumber(ARGV[i]), ARGV[i + 2]
  local answer = window_judge(window, seq)
  if answer == 'new' then
    local waiting = tonumber(redis.call('HGET', KEYS[4], child) or 0)
    if redis.call('HEXISTS', KEYS[3], child) == 0 then
      answer = 'unknown'
    elseif waiting >= limit then
      answer = 'full ' .. integer(waiting)
    else
      local timeout = tonumber(ARGV[i + 6])
      local deadline = timeout > 0 and integer(now + timeout) or '0'
      redis.call('XADD', KEYS[2], '*', 'kind', ARGV[i + 1], 'child', child, 'method', ARGV[i + 3],
        'id', ARGV[i + 4], 'reply_to', ARGV[i + 5], 'deadline', deadline, 'payload', ARGV[i + 7])
      redis.call('HINCRBY', KEYS[4], child, 1)
      window_mark(window, seq)
      answer = 'ok'
    end
  end
  answers[#answers + 1] = answer
end
window_save(window, ARGV[1])
return answers
