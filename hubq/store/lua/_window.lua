-- The receiver's half of the anti-replay window (RFC 6479): a bitmap of 64 words of 32 bits, kept as a hash.
-- window_load(key) opens it; window_judge(w, seq) -> "new" | "duplicate" | "stale"; window_mark(w, seq); window_save.
local BLOCK, BLOCKS = 32, 64
local function window_load(key)
  return {key = key, top = tonumber(redis.call('HGET', key, 'top') or 0) or 0, words = {}, dirty = {}, changed = false}
end
local function window_word(w, k)
  if not w.words[k] then w.words[k] = tonumber(redis.call('HGET', w.key, integer(k)) or 0) or 0 end
  return w.words[k]
end
local function window_place(seq)
  local block = math.floor(seq / BLOCK)
  return block, block % BLOCKS, 2 ^ (seq % BLOCK)
end
local function window_judge(w, seq)
  if seq > w.top then return 'new' end
  local block, word, bit = window_place(seq)
  if math.floor(w.top / BLOCK) - block >= BLOCKS - 1 then return 'stale' end
  if math.floor(window_word(w, word) / bit) % 2 == 1 then return 'duplicate' end
  return 'new'
end
local function window_mark(w, seq)
  local block, word, bit = window_place(seq)
  if seq > w.top then
    local first = math.floor(w.top / BLOCK) + 1
    if block - first >= BLOCKS then first = block - BLOCKS + 1 end
    for b = first, block do w.words[b % BLOCKS] = 0; w.dirty[b % BLOCKS] = true end
    w.top = seq
  end
  w.words[word] = window_word(w, word) + bit
  w.dirty[word] = true
  w.changed = true
end
local function window_save(w, ttl_ms)
  if not w.changed then return end
  local args = {'top', string.format('%d', w.top)}
  for word in pairs(w.dirty) do
    args[#args + 1] = string.format('%d', word)
    args[#args + 1] = string.format('%d', w.words[word])
  end
  redis.call('HSET', w.key, unpack(args))
  redis.call('PEXPIRE', w.key, ttl_ms)
end
