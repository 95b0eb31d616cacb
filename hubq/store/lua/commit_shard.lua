-- The single act that changes anything: fenced by the ownership token.
-- KEYS: owners
-- ARGV: owner field, owner line ("node incarnation token"), then effects (see _effects)
-- Returns: "ok" | "fenced"
-- include: _effects
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 'fenced' end
apply_effects(ARGV, 3)
return 'ok'
