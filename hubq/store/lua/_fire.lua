-- fire(now, grace, due, every, late) -> whether a message is written, when it is due next (nil: it is gone). hubq/core/reminders.py.
local function fire(now, grace, due, every, late)
  if every == 0 then return late ~= 'skip' or now - due <= grace end
  if late == 'all' then return true, due + every end
  local last = due + math.floor((now - due) / every) * every
  return late ~= 'skip' or now - last <= grace, last + every
end
