-- alive(nodes_key, node, incarnation): is this very incarnation of the node a member?
-- split_owner("node incarnation token") -> node, incarnation, token (as text; "-", "0", "0" when there is none, and for a line
-- that is no owner line).
local function alive(nodes_key, node, incarnation)
  local info = redis.call('HGET', nodes_key, node)
  return info and string.match(info, '"incarnation": ?(%d+)') == incarnation
end
local function split_owner(line)
  local node, incarnation, token = string.match(line or '', '^(%S+) (%d+) (%d+)$')
  if not node or #token > 16 then return '-', '0', '0' end
  return node, incarnation, token
end
