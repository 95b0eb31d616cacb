-- A caller has waited for long enough: asks the owner of the child whether the call was begun.
-- KEYS: mailbox of the shard (it names the slot. What is only read is no key here: that would take the right to write it)
-- ARGV: prefix of keys, shard, child, client, message id
-- Returns: the node that was asked | "-" (no node has it now) | "" (no node has ever been there)
-- include: _owner
local owners = ARGV[1] .. 'owners'
local line = redis.call('HGET', owners, ARGV[2] .. '/' .. ARGV[3]) or redis.call('HGET', owners, ARGV[2])
if not line then return redis.call('EXISTS', ARGV[1] .. 'epoch') == 0 and '' or '-' end
local owner = split_owner(line)
if owner ~= '-' then
  local control = ARGV[1] .. 'node:' .. owner .. ':mailbox'
  redis.call('XADD', control, 'MAXLEN', '~', 10000, '*', 'kind', 'withdraw', 'from', ARGV[4], 'shard', ARGV[2],
    'child', ARGV[3], 'message_id', ARGV[5])
  redis.call('PEXPIRE', control, 3600000)
end
return owner
