-- Some keys are known from data only: the mailbox of an owner, the replies of a caller. Every key that a script writes is one
-- of KEYS, so the script names what it lacks, writes nothing, and is run again with these keys. docs/adr/0008.
-- named_keys(first, last, k): name -> key; the names are ARGV[first] to ARGV[last], their keys begin at KEYS[k].
local function named_keys(first, last, k)
  local known = {}
  for i = first, last do known[ARGV[i]] = KEYS[k + i - first] end
  return known
end
-- lacking(known, wanted): {"needs", names...} for those without a key; nil if there are none.
local function lacking(known, wanted)
  local needs, listed = {'needs'}, {}
  for _, name in ipairs(wanted) do
    if not known[name] and not listed[name] then
      needs[#needs + 1] = name
      listed[name] = true
    end
  end
  if #needs > 1 then return needs end
end
