-- spoilt(answer): redis.pcall was refused since this one key is of another type, or a stream that takes no entry any more. -> why;
-- nothing if it was done. What is refused for another reason is refused as redis.call would be.
local function spoilt(answer)
  local why = type(answer) == 'table' and answer.err and tostring(answer.err)
  if not why or string.find(why, 'WRONGTYPE', 1, true) or string.find(why, 'exhausted', 1, true) then return why end
  error(why, 0)
end
