-- A control message for a node. Its mailbox goes by itself when nobody has written to it for a while.
-- KEYS: control mailbox
-- ARGV: ttl ms, kept messages, then field, value, ...
-- Returns: "ok"
local fields = {}
for i = 3, #ARGV do fields[#fields + 1] = ARGV[i] end
redis.call('PEXPIRE', KEYS[1], ARGV[1])  -- a script that has written once may go on when the memory is full
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(fields))
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 'ok'
