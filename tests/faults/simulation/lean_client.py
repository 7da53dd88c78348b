"""redis-py with less work for each command: half of a schedule's time would go into packing and into the pool of connections."""

from __future__ import annotations

from typing import Any

from redis import Redis


class _Packer:
    """Redis's protocol for text, bytes and numbers, without the checks that redis-py makes for other types."""

    def pack(self, *words: Any) -> list[bytes]:
        # redis-py gives some commands two words: `CONFIG SET`.
        encoded = [*words[0].encode().split(), *(_encoded(word) for word in words[1:])]
        return [b"".join([b"*%d\r\n" % len(encoded), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)])]


def _encoded(word: Any) -> bytes:
    if isinstance(word, str):
        return word.encode()
    return word if isinstance(word, bytes) else str(word).encode()


def lean_client(connection: Redis) -> Redis:
    """Return a client of the same server, of one connection, for one thread."""
    pool = connection.connection_pool
    options = pool.connection_kwargs | {"command_packer": _Packer()}
    lean = type(pool)(connection_class=pool.connection_class, **options)
    return Redis(connection_pool=lean, single_connection_client=True)
