-- Somebody ends the message in hand of a child, or drops one that waits: asks the owner of the child to.
-- KEYS: mailbox of the shard (it names the slot), then the control mailbox of the node that is named, if one is
-- ARGV: keys of owners, and of the shard's active and dormant children (only read, as in withdraw_call), shard, child, client, message
--       id, what ("kill" | "stop" | "drop"), entry, proof ('' = none), node ('' = none is known yet)
-- Returns: {"ok", node that was asked} | {"ok", "-"} (no node has it now) | {"ok", "~"} (it is dormant) | {"unknown"} (there is no such child) |
--          {"needs", node} (see _named)
-- include: _owner
-- include: _named
if redis.call('HEXISTS', ARGV[2], ARGV[5]) == 0 then
  return redis.call('HEXISTS', ARGV[3], ARGV[5]) == 1 and {'ok', '~'} or {'unknown'}
end
local line = redis.call('HGET', ARGV[1], ARGV[4] .. '/' .. ARGV[5]) or redis.call('HGET', ARGV[1], ARGV[4])
local owner, controls = split_owner(line), named_keys(11, #ARGV, 2)
if owner == '-' then return {'ok', owner} end
local needs = lacking(controls, {owner})
if needs then return needs end
redis.call('XADD', controls[owner], 'MAXLEN', '~', 10000, '*', 'kind', 'intervene', 'from', ARGV[6], 'shard', ARGV[4],
  'child', ARGV[5], 'message_id', ARGV[7], 'what', ARGV[8], 'entry', ARGV[9], 'proof', ARGV[10])
redis.call('PEXPIRE', controls[owner], 3600000)
return {'ok', owner}
