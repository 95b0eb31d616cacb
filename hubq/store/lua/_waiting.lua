-- waiting_for(hash, child) -> how many messages wait for a child: a number in a hash, no field for none. What is no number counts as 0.
local function waiting_for(hash, child) return tonumber(redis.call('HGET', hash, child) or 0) or 0 end
