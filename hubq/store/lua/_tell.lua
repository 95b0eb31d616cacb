-- tell(stream, kept, ...): news, in a stream of events or of control messages. They are no part of what is done, and everybody looks from
-- time to time besides. So a stream that is of another type, or takes no entry any more, holds nothing up.
-- include: _spoilt
local function tell(stream, kept, ...) spoilt(redis.pcall('XADD', stream, 'MAXLEN', '~', kept, '*', ...)) end
