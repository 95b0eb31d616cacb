-- A caller has waited for long enough: asks the owner of the child whether the call was begun, or to cancel it.
-- KEYS: mailbox of the shard (it names the slot), then the stream of asks of the node that is named, if one is
-- ARGV: keys of owners and epoch (only read. As KEYS they would take the right to write them, which no web app has),
--       shard, child, client, message id, to cancel it: who asks and the id for the answer (else both ''),
--       proof ('' = none), node ('' = none is known yet)
-- Returns: {"ok", node that was asked} | {"ok", "-"} (no node has it now) | {"ok", ""} (no node has ever been there) |
--          {"needs", node} (see _named)
-- include: _owner
-- include: _named
local line = redis.call('HGET', ARGV[1], ARGV[3] .. '/' .. ARGV[4]) or redis.call('HGET', ARGV[1], ARGV[3])
if not line then return {'ok', redis.call('EXISTS', ARGV[2]) == 0 and '' or '-'} end
local owner, streams = split_owner(line), named_keys(10, #ARGV, 2)
if owner == '-' then return {'ok', owner} end
local needs = lacking(streams, {owner})
if needs then return needs end
local asks = {'kind', 'withdraw', 'from', ARGV[5]}
if ARGV[8] ~= '' then asks = {'kind', 'cancel', 'from', ARGV[7], 'caller', ARGV[5], 'answer_id', ARGV[8]} end
for _, part in ipairs({'shard', ARGV[3], 'child', ARGV[4], 'message_id', ARGV[6], 'proof', ARGV[9]}) do asks[#asks + 1] = part end
redis.call('XADD', streams[owner], 'MAXLEN', '~', 10000, '*', unpack(asks))
redis.call('PEXPIRE', streams[owner], 3600000)
return {'ok', owner}
