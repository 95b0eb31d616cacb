-- check_said(keys, k, args, i, last): what children say is written once, so nothing of it may be refused when some of it is written.
-- The same keys and arguments as put_said, and behind them those of append_log. (What is sent to a shard with a key of another
-- type waits in the outbox: see put_send. Outcomes that are kept overwrite whatever there is.)
-- include: _types
local check_kind = {
  sends = function(keys, k) streams(keys[k]); hashes(keys[k + 1]) end,
  far = function(keys, k, count)
    for at = k, k + count - 1, 2 do
      streams(keys[at])
      numbers(keys[at + 1])
    end
  end,
  keeps = function() end,
  feeds = function(keys, k, count) for at = k, k + count - 1 do streams(keys[at]) end end,
  reminders = function(keys, k) zsets(keys[k], keys[k + 2]); hashes(keys[k + 1], keys[k + 4]); streams(keys[k + 3]) end,
  jobs = function(keys, k) streams(keys[k]) end,
  drafts = function(keys, k) hashes(keys[k]) end,
}
local function check_said(keys, k, args, i, last)
  local kinds = tonumber(args[i])
  if kinds > 0 then
    if args[i + 1] ~= '' then
      hashes(keys[k])
      k = k + 1
    end
    i = i + 3
  end
  i = i + 1
  for _ = 1, kinds do
    local count = tonumber(args[i + 1])
    check_kind[args[i]](keys, k, count)
    i, k = i + 3 + tonumber(args[i + 2]), k + count
  end
  if i <= last then
    streams(keys[k])
    hashes(keys[k + 1])
  end
end
