"""What a distribution strategy may say of itself besides the methods of its protocol."""

from __future__ import annotations

from dataclasses import dataclass

from hubq.strategies.distribution.protocol import Distribution


@dataclass(frozen=True, slots=True)
class Guidance:
    """Whether children have places of their own, and whether they wait there. A strategy that guides none says neither.

    ``guides``: attribute ``guides`` of the strategy. ``waits``: its ``when_gone`` is ``"wait"``: while its node is not
    there, a child is served by nobody.
    """

    guides: bool = False
    waits: bool = False

    @classmethod
    def of(cls, strategy: Distribution) -> Guidance:
        """What this strategy says.

        >>> from hubq.strategies.distribution import ConsistentHashing, Guided
        >>> Guidance.of(Guided())
        Guidance(guides=True, waits=True)
        >>> Guidance.of(ConsistentHashing())
        Guidance(guides=False, waits=False)
        """
        said = {name: getattr(strategy, name) for name in ("guides", "when_gone") if hasattr(strategy, name)}
        return cls(bool(said.get("guides")), said.get("when_gone") == "wait")
