-- now_ms(): Redis TIME in ms. integer(x): a number as text without a fraction or exponent.
local function now_ms()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
local function integer(x) return string.format('%d', x) end
