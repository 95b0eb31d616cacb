-- The result of a resumable job, kept once: a second call changes nothing.
-- KEYS: result
-- ARGV: ttl ms (0: none, -1: for ever), status, payload, what is known of the job (JSON)
-- Returns: "ok", or "kept" if there is one already
if redis.call('EXISTS', KEYS[1]) == 1 then return 'kept' end
if ARGV[1] == '0' then return 'ok' end
redis.call('XADD', KEYS[1], '*', 'status', ARGV[2], 'payload', ARGV[3], 'about', ARGV[4])
if ARGV[1] ~= '-1' then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return 'ok'
