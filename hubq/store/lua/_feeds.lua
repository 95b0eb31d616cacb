-- The feeds of children (docs/feeds.md). The id of an entry is "ms-number": Redis TIME, never below that of the entry before, and
-- the number of the entry, one more than that of the entry before. Kinds of entries:
--   topic, data             an event                  topic, data, draft '1'   a draft: its message is not committed yet
--   retracts first id, last id                        the drafts from the first to the last are void
--   end '1'                                           the child has ended; the feed expires
-- A field of drafts: "attempt number first-id" of a child that has drafts which do not stand yet.
-- add_entries(feed, kept, entries): puts entries, each a list of fields and values, behind the last one. -> ids of first, last
-- retract(drafts, feed, kept, child, attempt): if the child has drafts of this attempt ('': of any), they are void.
-- put_published(keys, k, args, i, last): what children of this shard publish with a commit
--   keys[k]: drafts, then the feed of each child; args[i] to args[last]: per child: child, entries kept, how many acts, then
--   these: "event", topic, data | "stands", attempt, '' | "retracts", attempt, ''
-- end_feeds(ends): these children have ended (see _ended).
-- include: _time
local function last_of(feed)
  local entry = redis.call('XREVRANGE', feed, '+', '-', 'COUNT', 1)[1]
  if not entry then return 0, 0, false end
  local ms, number = string.match(entry[1], '^(%d+)-(%d+)$')
  if #ms <= 15 and #number <= 15 then return tonumber(ms), tonumber(number), entry[2][1] == 'end' end
  redis.call('DEL', feed) -- nothing could be put behind such an id, which hubq has not written
  return 0, 0, false
end
local function add_entries(feed, kept, entries)
  local ms, number, ended = last_of(feed)
  local first, id
  ms = math.max(ms, now_ms())
  for _, entry in ipairs(entries) do
    number = number + 1
    id = integer(ms) .. '-' .. integer(number)
    first = first or id
    redis.call('XADD', feed, 'MAXLEN', '~', kept, id, unpack(entry))
  end
  if ended then redis.call('PERSIST', feed) end -- the child was started again
  return first, id
end
local function retract(drafts, feed, kept, child, attempt)
  local of, first = string.match(redis.call('HGET', drafts, child) or '', '^(%S+) %d+ (%S+)$')
  if not of or (attempt ~= '' and of ~= attempt) then return end
  local ms, number = last_of(feed)
  add_entries(feed, kept, {{'retracts', first, 'last', integer(ms) .. '-' .. integer(number)}})
  redis.call('HDEL', drafts, child)
end
local function put_published(keys, k, args, i, last)
  local feed = k
  while i <= last do
    local child, kept, acts, events, stands = args[i], args[i + 1], tonumber(args[i + 2]), {}, nil
    feed = feed + 1
    for at = i + 3, i + 3 * acts, 3 do
      if args[at] == 'event' then events[#events + 1] = {'topic', args[at + 1], 'data', args[at + 2]} end
      if args[at] == 'stands' then stands = args[at + 1] end
      if args[at] == 'retracts' then retract(keys[k], keys[feed], kept, child, args[at + 1]) end
    end
    local of = string.match(redis.call('HGET', keys[k], child) or '', '^(%S+) ')
    if of and of == stands then redis.call('HDEL', keys[k], child) else retract(keys[k], keys[feed], kept, child, '') end
    if #events > 0 then add_entries(keys[feed], kept, events) end
    i = i + 3 + 3 * acts
  end
  return false
end
local function end_feeds(ends)
  for _, one in ipairs(ends) do
    redis.call('HDEL', one.drafts, one.child)
    if redis.call('EXISTS', one.feed) == 1 then
      add_entries(one.feed, '1000000', {{'end', '1'}})
      redis.call('PEXPIRE', one.feed, 3600000)
    end
  end
end
