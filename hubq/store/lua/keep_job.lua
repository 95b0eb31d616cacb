-- The message that brings a job of a key to its turn is in the mailbox now: the job has no time limit of its own any more.
-- KEYS: RQ's hash of the job
-- ARGV: none
-- Returns: "kept" | "begun" (it runs, has ended, or is gone: how long it is kept is RQ's business then)
if redis.call('HGET', KEYS[1], 'status') ~= 'queued' then return 'begun' end
redis.call('HDEL', KEYS[1], 'ttl')
redis.call('PERSIST', KEYS[1])
return 'kept'
