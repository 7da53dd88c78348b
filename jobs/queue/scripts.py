"""Lua scripts, each of which the server runs as one step."""

# KEYS: each lane, followed by its intermediate list. ARGV: the most entries to take, and the prefix of an entry's key.
# An id without an entry stays in the intermediate list, from which the worker sweeps it.
TAKE = """
local taken = {}
for lane = 1, #KEYS / 2 do
  while #taken < tonumber(ARGV[1]) do
    local id = redis.call('LMOVE', KEYS[2 * lane - 1], KEYS[2 * lane], 'LEFT', 'RIGHT')
    if not id then break end
    if redis.call('HEXISTS', ARGV[2] .. id, 'data') == 1 then
      table.insert(taken, {lane, id, redis.call('HGETALL', ARGV[2] .. id)})
    end
  end
end
return taken
"""

# KEYS: the lane, rq's set of queues, the lock, and the last turn. ARGV: the lock's token, the prefix of an entry's key, the run
# of the last turn, as JSON the ids that the feeder saw in the lane and the ids that it wants there, in order; then the fields of
# a new entry.
# An id that the feeder saw and that is gone was taken meanwhile. An id that it did not see came meanwhile: it goes first.
# Returns whether the feeder still had the lock; without it, another feeder has read newer rows.
ARRANGE = """
if redis.call('GET', KEYS[3]) ~= ARGV[1] then return 0 end
local seen, wanted, present, lane = {}, {}, {}, {}
local before, order = cjson.decode(ARGV[4]), cjson.decode(ARGV[5])
for _, id in ipairs(before) do seen[id] = true end
for _, id in ipairs(order) do wanted[id] = true end
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  if not present[id] and not seen[id] and not wanted[id] then table.insert(lane, id) end
  present[id] = true
end
for _, id in ipairs(order) do
  if present[id] or not seen[id] then
    if redis.call('EXISTS', ARGV[2] .. id) == 0 then redis.call('HSET', ARGV[2] .. id, unpack(ARGV, 6)) end
    table.insert(lane, id)
  end
end
for _, id in ipairs(before) do
  if present[id] and not wanted[id] then redis.call('DEL', ARGV[2] .. id) end
end
redis.call('DEL', KEYS[1])
for start = 1, #lane, 1000 do
  redis.call('RPUSH', KEYS[1], unpack(lane, start, math.min(start + 999, #lane)))
end
redis.call('SADD', KEYS[2], KEYS[1])
redis.call('SET', KEYS[4], ARGV[3])
return 1
"""

# KEYS: the lock, and the count of calls for a feeder. ARGV: the lock's token. Returns the count.
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return tonumber(redis.call('GET', KEYS[2]) or '0')
"""
