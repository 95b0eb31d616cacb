-- Messages have come for children that their node does not have: those that are dormant are active from now on.
-- KEYS: owners, then of the shard: children, msk, dormant, expiring, backlog
-- ARGV: owner field, owner line, again (1: an earlier try may have come through, so active ones are meant, too), then children
-- Returns: "fenced" alone, or "ok" and per child: spec, state ('' = none); spec '' = it is not dormant
-- include: _dormant
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return {'fenced'} end
redis.call('HDEL', KEYS[5], '')  -- a script that has written once may go on when the memory is full
local answers = {'ok'}
for i = 4, #ARGV do
  local child, spec, state = ARGV[i], nil, nil
  local text = redis.call('HGET', KEYS[4], child)
  if text then
    spec, state = parted(text)
    if not spec then spec, state = text, '' end -- malformed: it is parked, and can be stopped
    redis.call('HSET', KEYS[2], child, spec)
    if state ~= '' then redis.call('HSET', KEYS[3], child, state) end
    redis.call('HDEL', KEYS[4], child)
    redis.call('ZREM', KEYS[5], child)
  elseif ARGV[3] == '1' then
    spec, state = redis.call('HGET', KEYS[2], child), redis.call('HGET', KEYS[3], child)
  end
  answers[#answers + 1] = spec or ''
  answers[#answers + 1] = state or ''
end
return answers
