-- A point of a node's history (for the web view). It is written with its TTL: a node may die after each request.
-- KEYS: history
-- ARGV: most points, ttl ms, point
-- Returns: 1
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'p', ARGV[3])
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
