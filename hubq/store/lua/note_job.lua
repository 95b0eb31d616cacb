-- How far a job of RQ is: a field of its hash, as long as the job is there.
-- KEYS: the hash of the job
-- ARGV: field, what it has told
-- Returns: "ok", or "gone"
if redis.call('EXISTS', KEYS[1]) == 0 then return 'gone' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 'ok'
