-- Publishes events of a handler that still runs. Sent twice, it publishes once.
-- KEYS: owners, mailbox, feed of the child, drafts
-- ARGV: owner field, owner line, entry of the message, field of drafts, name of the handling, entries kept, number of the first draft
--       in this handling, topic of a retraction, then topic, data of each
-- Returns: "ok" | "fenced" | "over" (its message is not in the mailbox any more)
-- include: _retract
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 'fenced' end
if #redis.call('XRANGE', KEYS[2], ARGV[3], ARGV[3]) == 0 then return 'over' end
local name, count = string.match(redis.call('HGET', KEYS[4], ARGV[4]) or '', '^(%S+) (%d+)$')
if name ~= ARGV[5] then
  if name then retract(KEYS[3], name, ARGV[8]) end -- of an earlier handling, which was undone
  count = 0
end
local ms, number, ended = last_of(KEYS[3])
ms, count = integer(math.max(ms, now_ms())), tonumber(count)
for i = 9, #ARGV, 2 do
  local mine = tonumber(ARGV[7]) + (i - 9) / 2
  if mine > count then
    number, count = number + 1, mine
    local id = ms .. '-' .. integer(number)
    add_event(KEYS[3], 'MAXLEN', '~', ARGV[6], id, 'topic', ARGV[i], 'data', ARGV[i + 1], 'draft', ARGV[5])
  end
end
if ended then redis.call('PERSIST', KEYS[3]) end -- the child was started again
local value = ARGV[5] .. ' ' .. integer(count)
redis.call('HSET', KEYS[4], ARGV[4], value)
return 'ok'
