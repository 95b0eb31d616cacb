-- Moves messages of a shard's outbox on into the mailboxes of their children, in order, as far as these have room.
-- KEYS: outbox, outbox waiting, then per target shard: mailbox, children, backlog, dormant, dead
-- ARGV: max backlog, letters kept, how many target shards, how many children are passed over, these (an earlier message to each
--       had to stay), then per message: entry in the outbox, target shard (from 1)
-- Returns: how many were moved, how many wait still, then the children that are passed over now
-- include: _one_less
-- include: _types
-- include: _send
hashes(KEYS[2])
local limit, letters = tonumber(ARGV[1]), ARGV[2]
local targets = targets_of(KEYS, 3, tonumber(ARGV[3]))
local full, answer = {}, {0, 0}
local function pass_over(child)
  full[child] = true
  answer[#answer + 1] = child
end
local first = 5 + tonumber(ARGV[4])
for i = 5, first - 1 do pass_over(ARGV[i]) end
for i = first, #ARGV, 2 do
  local entry = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1]
  local field = {}
  for j = 1, entry and #entry[2] or 0, 2 do field[entry[2][j]] = entry[2][j + 1] end
  local child = field.child
  if entry and not full[child] then
    local target = targets[tonumber(ARGV[i + 1])]
    if put_send(target, field.sender, child, field.method, field.payload, field.spec, letters, limit) then
      redis.call('XDEL', KEYS[1], entry[1])
      one_less(KEYS[2], child)
      answer[1] = answer[1] + 1
    else
      pass_over(child)
    end
  end
end
answer[2] = redis.call('XLEN', KEYS[1])
if answer[2] == 0 then redis.call('DEL', KEYS[1]) end
return answer
