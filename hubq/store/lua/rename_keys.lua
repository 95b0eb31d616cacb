-- Renames keys of a hub that is moved. Done twice, it does nothing more.
-- KEYS: per key: from, to
-- ARGV: "aside" | "back", the text that stands in for keys without which nothing can be sent, then per key 1 if it is one of these, else 0
-- aside: a key goes if there is none at its new place. The text stands in for it: who sends is refused.
-- back: a key goes, over what there is. If there is none to go back, the text that stands in for it goes.
-- Returns: how many were renamed
local renamed = 0
for i = 1, #KEYS, 2 do
  local from, to, stands_in = KEYS[i], KEYS[i + 1], ARGV[2 + (i + 1) / 2] == '1'
  local kind = redis.call('TYPE', from).ok
  if ARGV[1] == 'back' then
    if kind ~= 'none' then
      redis.call('RENAME', from, to)
      renamed = renamed + 1
    elseif stands_in and redis.call('TYPE', to).ok == 'string' then
      redis.call('DEL', to)
    end
  elseif not (stands_in and kind == 'string') then
    if kind ~= 'none' and redis.call('EXISTS', to) == 0 then
      redis.call('RENAME', from, to)
      kind, renamed = 'none', renamed + 1
    end
    if stands_in and kind == 'none' then redis.call('SET', from, ARGV[2]) end
  end
end
return renamed
