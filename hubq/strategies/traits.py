"""What a strategy may say of itself besides its methods. A class of yours need not: what it does not say has a default."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Traits:
    """The attributes that hubq reads of the strategies of one family, each with its default."""

    @classmethod
    def of(cls, strategy: object) -> Self:
        """What this strategy says of itself."""
        said: dict[str, Any] = {
            field.name: getattr(strategy, field.name) for field in fields(cls) if hasattr(strategy, field.name)
        }
        return cls(**said)
