-- Messages of children of another group go into the mailboxes of their children here, in order, as far as these have room.
-- Each is taken once: by its number, in the window of the shard and the generation that have sent it. May be run twice, by anybody.
-- KEYS: window, then per target shard: mailbox, children, backlog, dormant, dead
-- ARGV: life of the window ms, max backlog, letters kept, how many target shards, how many children are passed over, these (an
--       earlier message to each had to stay), then per message: number, target shard (from 1), sender, child, method, payload, spec
-- Returns: per message 1 (taken, now or before) | 0 (it stays: the mailbox is full)
-- include: _time
-- include: _window
-- include: _send
local limit, letters = tonumber(ARGV[2]), ARGV[3]
local targets = targets_of(KEYS, 2, tonumber(ARGV[4]))
local full, answers = {}, {}
local first = 6 + tonumber(ARGV[5])
for i = 6, first - 1 do full[ARGV[i]] = true end
local window = window_load(KEYS[1], tonumber(ARGV[first]))
for i = first, #ARGV, 7 do
  local number, child = tonumber(ARGV[i]), ARGV[i + 3]
  local taken = window_judge(window, number) ~= 'new'
  if not taken and not full[child] then
    taken = put_send(targets[tonumber(ARGV[i + 1])], ARGV[i + 2], child, ARGV[i + 4], ARGV[i + 5], ARGV[i + 6], letters, limit)
    if taken then window_mark(window, number) else full[child] = true end
  end
  answers[#answers + 1] = taken and 1 or 0
end
window_save(window, ARGV[1])
return answers
