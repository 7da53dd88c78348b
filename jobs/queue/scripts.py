"""Lua scripts, each of which the server runs as one step."""

# KEYS: each lane, followed by its intermediate list. ARGV: the most entries to take, the prefix of an entry's key, and then ids
# that stay in their lanes.
# An id without an entry stays in the intermediate list, from which the worker sweeps it.
TAKE = """
local taken, skipped = {}, {}
for number = 3, #ARGV do skipped[ARGV[number]] = true end
local function add(lane, id)
  if redis.call('HEXISTS', ARGV[2] .. id, 'data') == 1 then
    table.insert(taken, {lane, id, redis.call('HGETALL', ARGV[2] .. id)})
  end
end
for lane = 1, #KEYS / 2 do
  local waiting, held = KEYS[2 * lane - 1], KEYS[2 * lane]
  if #ARGV > 2 then
    for _, id in ipairs(redis.call('LRANGE', waiting, 0, -1)) do
      if #taken >= tonumber(ARGV[1]) then break end
      if not skipped[id] and redis.call('LREM', waiting, 1, id) == 1 then
        redis.call('RPUSH', held, id)
        add(lane, id)
      end
    end
  end
  while #ARGV == 2 and #taken < tonumber(ARGV[1]) do
    local id = redis.call('LMOVE', waiting, held, 'LEFT', 'RIGHT')
    if not id then break end
    add(lane, id)
  end
end
return taken
"""

# KEYS: a lane, and an intermediate list. ARGV: how many ids to put back, these ids in their order, and then ids that were put
# back before: those at the front of the lane stay there.
PUT_BACK = """
local count, known, front = tonumber(ARGV[1]), {}, {}
for number = count + 2, #ARGV do known[ARGV[number]] = true end
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, #ARGV - count - 1)) do
  if not known[id] then break end
  table.insert(front, id)
  redis.call('LPOP', KEYS[1])
end
for number = count, 1, -1 do
  redis.call('LREM', KEYS[2], 1, ARGV[number + 1])
  redis.call('LPUSH', KEYS[1], ARGV[number + 1])
end
for number = #front, 1, -1 do redis.call('LPUSH', KEYS[1], front[number]) end
"""

# KEYS: the turns. ARGV: a model, and a worker. Returns whether the worker has the model's turn.
TAKE_TURN = """
redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
return redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] and 1 or 0
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

# KEYS: for each lane rq's registry of put-off entries, and the lane. ARGV: the prefix of an entry's key, the present time, and
# the latest time until which an entry may be put off: for entries with later times the clock was set back since.
# Moves the entries whose time has come into their lanes. Returns the time of the next one, or nothing.
DUE = """
local soonest
for lane = 1, #KEYS / 2 do
  local put_off, waiting = KEYS[2 * lane - 1], KEYS[2 * lane]
  local due = redis.call('ZRANGEBYSCORE', put_off, '-inf', ARGV[2])
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', put_off, '(' .. ARGV[3], '+inf')) do table.insert(due, id) end
  for _, id in ipairs(due) do
    redis.call('ZREM', put_off, id)
    if redis.call('EXISTS', ARGV[1] .. id) == 1 then
      redis.call('HSET', ARGV[1] .. id, 'status', 'queued')
      redis.call('RPUSH', waiting, id)
    end
  end
  local following = redis.call('ZRANGE', put_off, 0, 0, 'WITHSCORES')[2]
  if following and (not soonest or tonumber(following) < tonumber(soonest)) then soonest = following end
end
return soonest
"""

# KEYS: the ids of the newest downloads, and the wishes of the workers that may take the download. ARGV: the prefixes of records,
# of signs of life and of cancels, a new id, its record, the model, the worker (empty: any), the most open downloads, the seconds
# for which all of it is kept, and the most ids that are kept.
# Returns the id of the open download of this model by this worker, or the new id, or nothing: too many are open. A wish for any
# worker does not join one that waits for a certain worker, which may be gone.
WISH = """
local open = 0
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local text = redis.call('GET', ARGV[1] .. id)
  if text and redis.call('EXISTS', ARGV[2] .. id) == 1 then
    local known = cjson.decode(text)
    local same = known.wanted == ARGV[7] or known.worker == ARGV[7]
    if ARGV[7] == '' then same = known.wanted == '' or known.worker ~= '' end
    if known.model == ARGV[6] and same and redis.call('EXISTS', ARGV[3] .. id) == 0 then return id end
    open = open + 1
  elseif not text then
    redis.call('LREM', KEYS[1], 0, id)
  end
end
if open >= tonumber(ARGV[8]) then return nil end
redis.call('SET', ARGV[1] .. ARGV[4], ARGV[5], 'EX', ARGV[9])
redis.call('SET', ARGV[2] .. ARGV[4], '1', 'EX', ARGV[9])
redis.call('LPUSH', KEYS[1], ARGV[4])
redis.call('LTRIM', KEYS[1], 0, ARGV[10] - 1)
redis.call('RPUSH', KEYS[2], ARGV[4])
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[9]) end
return ARGV[4]
"""

# KEYS: lists of wishes, in the order in which they are taken. ARGV: the prefixes of records and of signs of life, and the seconds
# until the first report of the worker. Returns the record of a download that has not ended, or nothing.
TAKE_WISH = """
for _, key in ipairs(KEYS) do
  local id = redis.call('LPOP', key)
  while id do
    local text = redis.call('GET', ARGV[1] .. id)
    if text and redis.call('SET', ARGV[2] .. id, '1', 'EX', ARGV[3], 'XX') then return text end
    id = redis.call('LPOP', key)
  end
end
return nil
"""

# KEYS: the stream of each event. ARGV: how many events a stream keeps at least, and then of each event the seconds for which its
# stream is kept, its name and its data.
PUBLISH = """
for number, stream in ipairs(KEYS) do
  local seconds, name, data = unpack(ARGV, 3 * number - 1, 3 * number + 1)
  redis.call('XADD', stream, 'MAXLEN', '~', ARGV[1], '*', 'event', name, 'data', data)
  redis.call('EXPIRE', stream, seconds)
end
"""
