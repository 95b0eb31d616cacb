-- apply_effects(args, i): what a commit changes, idempotent. Reads from args[i] on, returns the next index:
--   mailbox, children, msk, backlog, parked: keys
--   n, then n times: child, m, m entry ids               messages that are done
--   n, then n times: child, state                        states to save
--   n, then n times: child                               states to forget (handover=false)
--   n, then n times: child, start id                     children that have ended (unless started anew since)
--   n, then n times: child, reason                       children that are parked ('' = no longer)
--   n, then n times: reply key, ttl ms, m, m payloads    replies
local function apply_effects(args, i)
  local mailbox, children, msk, backlog, parked = args[i], args[i + 1], args[i + 2], args[i + 3], args[i + 4]
  i = i + 5
  local function count() i = i + 1; return tonumber(args[i - 1]) end
  local function take() i = i + 1; return args[i - 1] end
  for _ = 1, count() do
    local child, m = take(), count()
    local removed = 0
    for first = i, i + m - 1, 1000 do
      removed = removed + redis.call('XDEL', mailbox, unpack(args, first, math.min(first + 999, i + m - 1)))
    end
    i = i + m
    if removed > 0 and redis.call('HINCRBY', backlog, child, -removed) <= 0 then redis.call('HDEL', backlog, child) end
  end
  for _ = 1, count() do
    local child = take()
    redis.call('HSET', msk, child, take())
  end
  for _ = 1, count() do redis.call('HDEL', msk, take()) end
  for _ = 1, count() do
    local child, start_id = take(), take()
    local spec = redis.call('HGET', children, child)
    if spec and string.find(spec, '"start_id":"' .. start_id .. '"', 1, true) then
      redis.call('HDEL', children, child)
      redis.call('HDEL', msk, child)
      redis.call('HDEL', parked, child)
    end
  end
  for _ = 1, count() do
    local child, reason = take(), take()
    if reason == '' then redis.call('HDEL', parked, child) else redis.call('HSET', parked, child, reason) end
  end
  for _ = 1, count() do
    local key, ttl, m = take(), take(), count()
    for first = i, i + m - 1, 1000 do
      redis.call('RPUSH', key, unpack(args, first, math.min(first + 999, i + m - 1)))
    end
    redis.call('PEXPIRE', key, ttl)
    i = i + m
  end
  return i
end
