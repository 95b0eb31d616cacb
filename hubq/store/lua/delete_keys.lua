-- Deletes keys of a hub that no worker serves.
-- KEYS: leases, the keys to delete ...
-- ARGV: none
-- Returns: "deleted" | "served"
-- include: _time
if redis.call('ZCOUNT', KEYS[1], '(' .. integer(now_ms()), '+inf') > 0 then return 'served' end
for n = 2, #KEYS do
  redis.call('UNLINK', KEYS[n])
end
return 'deleted'
