"""How large values may be: as the settings say, or less if this Redis was found to take less."""

from __future__ import annotations

from hubq.config import Config

#: What stands before a reply or a state, bytes at most.
HEAD = 1024
#: Redis takes any value of this size: its ``proto-max-bulk-len`` cannot be less.
ALWAYS_TAKEN = 1024 * 1024 - HEAD


class Sizes:
    """The largest ``payload`` and ``state``, bytes.

    >>> sizes = Sizes(Config())
    >>> sizes.refused(3_000_000)
    >>> sizes.payload, sizes.state
    (2998976, 2998976)
    """

    def __init__(self, config: Config) -> None:
        self.payload = config.max_payload_bytes
        self.state = config.max_state_bytes

    def refused(self, size: int) -> None:
        """Redis has not taken a value of this size."""
        most = max(size - HEAD, ALWAYS_TAKEN)
        self.payload = min(self.payload, most)
        self.state = min(self.state, most)
