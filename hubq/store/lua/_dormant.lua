-- A dormant child is one field: the length of its spec in characters, a space, its spec, its state.
-- joined(spec, state) -> text; parted(text) -> spec, state ('' = none is saved); nothing for what is no such text
local function joined(spec, state) return string.format('%d', #spec) .. ' ' .. spec .. state end
local function parted(text)
  local digits = string.match(text, '^(%d%d?%d?%d?%d?%d?%d?%d?%d?%d?) ')
  local first = digits and #digits + 2
  local last = digits and first + tonumber(digits) - 1
  if last and last <= #text then return string.sub(text, first, last), string.sub(text, last + 1) end
end
