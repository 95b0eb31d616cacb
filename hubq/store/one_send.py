"""A send of one message, as it travels: what does not change from message to message is packed once for each shard.

Most sends of a caller are of one message. To pack all of its twenty words took a tenth of what a call takes at the client
(docs/performance.md).
"""

from __future__ import annotations

from hubq.store.command import Arg, Command
from hubq.store.keys import Keys
from hubq.store.naming import chunk
from hubq.store.outgoing import Outgoing, Seals, send_messages

#: Number, child, payload, kind, method, reply list and time-out, behind what is the same for all messages to a shard.
_WORDS = b"%b" + 7 * b"$%d\r\n%b\r\n"


class OneSend:
    """Makes the commands that send one message each, for one sender.

    >>> sends = OneSend(Keys("chat"), "c1", sender_ttl_ms=60_000, max_backlog=100)
    >>> command = sends.command(6, 1, Outgoing("cast", "room-1", "post", b"p", 0, False))
    >>> command.data.count(b"$"), command.args[-7:]
    (21, (1, 'room-1', b'p', 'cast', 'post', '', 0))
    """

    def __init__(
        self, keys: Keys, sender: str, *, sender_ttl_ms: int, max_backlog: int, max_mailbox_bytes: int = 0,
        seal: Seals | None = None,
    ) -> None:  # fmt: skip
        self._keys = keys
        self._sender = sender
        self._reply_to = sender.encode()
        self._sender_ttl_ms = sender_ttl_ms
        self._max_backlog = max_backlog
        self._max_mailbox_bytes = max_mailbox_bytes
        self._seal = seal
        self._heads: dict[int, tuple[Command[list[str]], tuple[Arg, ...], bytes]] = {}

    def command(self, shard: int, number: int, message: Outgoing) -> Command[list[str]]:
        """Put a numbered message into the mailbox of its shard; one status word."""
        kind, child, method, payload, timeout, reply, spec = message
        if spec is not None or kind == "stop":
            return self._whole(shard, number, message)
        known = self._heads.get(shard)
        if known is None:
            whole = self._whole(shard, number, message)
            words = tuple(whole.args[:-7])
            head = b"*%d\r\n" % len(whole.args) + b"".join(map(chunk, words))
            known = self._heads[shard] = whole, words, head
        like, words, head = known
        ms = int(timeout * 1000)
        n, k, c, m, t = b"%d" % number, kind.encode(), child.encode(), method.encode(), b"%d" % ms
        if self._seal is not None:
            payload = self._seal.words(k, c, m, self._reply_to, n, payload)
        r = self._reply_to if reply else b""
        data = _WORDS % (
            head, len(n), n, len(c), c, len(payload), payload, len(k), k, len(m), m, len(r), r, len(t), t,
        )  # fmt: skip
        args = (*words, number, child, payload, kind, method, self._sender if reply else "", ms)
        return Command(args, like.read, like.script, data=data)

    def _whole(self, shard: int, number: int, message: Outgoing) -> Command[list[str]]:
        return send_messages(
            self._keys, self._sender, {shard: [(number, message)]}, sender_ttl_ms=self._sender_ttl_ms,
            max_backlog=self._max_backlog, max_mailbox_bytes=self._max_mailbox_bytes, seal=self._seal,
        )  # fmt: skip
