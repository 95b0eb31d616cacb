-- is_paused(pauses, children, dormant, child): a child may be paused with the hub, with its class, or alone (hubq/core/pauses.py).
local function is_paused(pauses, children, dormant, child)
  if redis.call('HEXISTS', pauses, 'hub') == 1 or redis.call('HEXISTS', pauses, 'child ' .. child) == 1 then return true end
  local class = string.match(redis.call('HGET', children, child) or '', '^{"name":"([^"]*)"')
    or string.match(redis.call('HGET', dormant, child) or '', '^%d+ {"name":"([^"]*)"')
  return class ~= nil and redis.call('HEXISTS', pauses, 'class ' .. class) == 1
end
