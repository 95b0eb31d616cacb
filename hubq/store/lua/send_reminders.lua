-- Somebody outside sets reminders for children, or takes them back, under the sender's numbers.
-- KEYS: sender, then per shard: reminders due, what, names, mailbox, children, dormant (only looked up)
-- ARGV: sender ttl ms, how much in the past a time may be (ms), then per shard: n, then n times: seq, child, name,
--       "after" | "at" | "cancel", ms, method, payload
-- Returns: per message "ok" | "duplicate" | "stale" | "unknown" | "past <now ms>" | "gone" (there is nothing to cancel)
-- include: _time
-- include: _window
-- include: _reminders
-- include: _drop_reminder
-- include: _tell_reminder
local window, answers, i, now = window_load(KEYS[1], tonumber(ARGV[4])), {}, 3, now_ms()
local function put(r, mailbox, k, seq, child, name, how, ms, method, payload)
  local verdict = window_judge(window, seq)
  if verdict ~= 'new' then return verdict end
  if how == 'cancel' then
    if not drop_reminder(r, child, name) then return 'gone' end
  else
    if redis.call('HEXISTS', KEYS[k], child) == 0 and redis.call('HEXISTS', KEYS[k + 1], child) == 0 then return 'unknown' end
    local due = how == 'after' and now + ms or ms
    if due < now - tonumber(ARGV[2]) then return 'past ' .. integer(now) end
    tell_reminder(r, mailbox, integer(due))
    set_reminder(r, child, name, integer(due), '0', 'once', method, payload)
  end
  window_mark(window, seq)
  return 'ok'
end
for k = 2, #KEYS, 6 do
  local first, n = i + 1, tonumber(ARGV[i])
  for at = first, first + 7 * (n - 1), 7 do
    answers[#answers + 1] = put(reminders_of(KEYS, k), KEYS[k + 3], k + 4, tonumber(ARGV[at]), ARGV[at + 1],
      ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4]), ARGV[at + 5], ARGV[at + 6])
  end
  i = first + 7 * n
end
window_save(window, ARGV[1])
return answers
