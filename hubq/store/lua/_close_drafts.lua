-- Drafts of events (docs/feeds.md): the hash `drafts` has "child\nentry" -> "handling count", for each handling of a message that has
-- published drafts and is not committed.
-- close_drafts(keys, k, args, i, last): a commit closes the drafts of handlings: they stand. -> false (nothing is held)
--   keys[k]: drafts of the shard; args[i] to args[last]: per handling: field, its name
local function close_drafts(keys, k, args, i, last)
  for at = i, last, 2 do
    local name = string.match(redis.call('HGET', keys[k], args[at]) or '', '^(%S+) ')
    if name == args[at + 1] then redis.call('HDEL', keys[k], args[at]) end
  end
  return false
end
