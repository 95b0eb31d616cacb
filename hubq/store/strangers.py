"""Whether a Redis lets strangers in: found out by knocking, since no setting tells. (With ``user default off`` its
``requirepass`` is empty, and yet nobody gets in without a name and a password.)
"""

from __future__ import annotations

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from hubq.store.connection import Server

#: How long the answer may take, seconds.
TIMEOUT = 2.0


def lets_strangers_in(server: Server) -> bool | None:
    """Whether a connection without user and password may say PING; None: that could not be found out."""
    client = server.sync_client(TIMEOUT)
    try:
        options = client.connection_pool.connection_kwargs
        for secret in ("username", "password", "credential_provider"):
            options.pop(secret, None)
        client.ping()
    except (AuthenticationError, NoPermissionError):
        return False
    except ResponseError as error:
        return False if str(error).startswith(("NOAUTH", "NOPERM")) else None
    except (RedisError, OSError):
        return None
    finally:
        client.close()
    return True
