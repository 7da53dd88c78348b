"""Lua scripts that the server runs as one step each."""

# KEYS: each lane and its intermediate list; ARGV: how many, and what an entry's key begins with. An id without an entry stays
# in the intermediate list: the worker sweeps it.
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

# KEYS: a set of ids, and the lanes that are turned round once, without those ids.
WITHDRAW = """
for lane = 2, #KEYS do
  for _ = 1, redis.call('LLEN', KEYS[lane]) do
    local id = redis.call('LPOP', KEYS[lane])
    if redis.call('SISMEMBER', KEYS[1], id) == 0 then redis.call('RPUSH', KEYS[lane], id) end
  end
end
redis.call('DEL', KEYS[1])
"""
