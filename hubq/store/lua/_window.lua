-- The receiver's half of the anti-replay window (RFC 6479): a bitmap of 64 words of 32 bits, kept as a hash.
-- window_load(key, seq) opens it, with the word of a number that will be asked for;
-- window_judge(w, seq) -> "new" | "duplicate" | "stale"; window_mark(w, seq); window_save.
local BLOCK, BLOCKS = 32, 64
local function window_load(key, seq)
  local word = (seq - seq % BLOCK) / BLOCK % BLOCKS
  local found = redis.call('HMGET', key, 'top', string.format('%d', word))
  local top = tonumber(found[1] or 0) or 0
  return {key = key, top = top, block = (top - top % BLOCK) / BLOCK, words = {[word] = tonumber(found[2] or 0) or 0}, dirty = {},
    changed = false}
end
local function window_word(w, k)
  local word = w.words[k]
  if not word then
    word = tonumber(redis.call('HGET', w.key, string.format('%d', k)) or 0) or 0
    w.words[k] = word
  end
  return word
end
local function window_judge(w, seq)
  if seq > w.top then return 'new' end
  local bit = seq % BLOCK
  local block = (seq - bit) / BLOCK
  if w.block - block >= BLOCKS - 1 then return 'stale' end
  local bits = window_word(w, block % BLOCKS) / 2 ^ bit
  if (bits - bits % 1) % 2 == 1 then return 'duplicate' end
  return 'new'
end
local function window_mark(w, seq)
  local bit = seq % BLOCK
  local block = (seq - bit) / BLOCK
  local word = block % BLOCKS
  if seq > w.top then
    local first = w.block + 1
    if block - first >= BLOCKS then first = block - BLOCKS + 1 end
    for b = first, block do w.words[b % BLOCKS] = 0; w.dirty[b % BLOCKS] = true end
    w.top, w.block = seq, block
  end
  w.words[word] = window_word(w, word) + 2 ^ bit
  w.dirty[word] = true
  w.changed = true
end
local function window_save(w, ttl_ms)
  if not w.changed then return end
  local args, n = {'top', string.format('%d', w.top)}, 2 -- (as text: Redis takes three times as long to write a number)
  for word in pairs(w.dirty) do
    args[n + 1], args[n + 2], n = string.format('%d', word), string.format('%d', w.words[word]), n + 2
  end
  redis.call('HSET', w.key, unpack(args))
  redis.call('PEXPIRE', w.key, ttl_ms)
end
