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

# KEYS: a set of ids, followed by the lanes. Each lane is rotated once, and loses those ids on the way.
WITHDRAW = """
for lane = 2, #KEYS do
  for _ = 1, redis.call('LLEN', KEYS[lane]) do
    local id = redis.call('LPOP', KEYS[lane])
    if redis.call('SISMEMBER', KEYS[1], id) == 0 then redis.call('RPUSH', KEYS[lane], id) end
  end
end
redis.call('DEL', KEYS[1])
"""
