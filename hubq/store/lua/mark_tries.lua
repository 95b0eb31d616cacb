-- Writes what is about to be handled (or takes it back), so that a crash shows who was in hand. docs/poison.md.
-- KEYS: owners, tries
-- ARGV: owner field, owner line, then field of "tries", text ('' = remove), ...
-- Returns: "ok" | "fenced"
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 'fenced' end
if redis.call('HEXISTS', KEYS[2], 'watch') == 0 then return 'ok' end  -- the crash was none: nothing is watched
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[2], ARGV[i]) else redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
end
return 'ok'
