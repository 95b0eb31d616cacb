-- A script must not fail in its middle. So a key of another type than hubq writes is found before anything is written.
-- streams(...), hashes(...), zsets(...), lists(...), texts(...): Redis refuses the script (WRONGTYPE) if one of these keys is of
-- another type. A key that is not there is of any type.
-- numbers(...): the same for texts that are whole numbers.
local function streams(...) for _, key in ipairs({...}) do redis.call('XLEN', key) end end
local function hashes(...) for _, key in ipairs({...}) do redis.call('HLEN', key) end end
local function zsets(...) for _, key in ipairs({...}) do redis.call('ZCARD', key) end end
local function lists(...) for _, key in ipairs({...}) do redis.call('LLEN', key) end end
local function texts(...) for _, key in ipairs({...}) do redis.call('STRLEN', key) end end
local function numbers(...)
  for _, key in ipairs({...}) do
    if not string.match(redis.call('GET', key) or '0', '^%d+$') then error(key .. ' is not an integer', 0) end
  end
end
