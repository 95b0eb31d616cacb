"""A few thousand malformed and unsealed entries. (A million by hand: ``python -m tests.simulation.fuzz_trust``.)"""

from __future__ import annotations

import pytest

from tests.simulation.fuzz_trust import Fuzz


@pytest.mark.parametrize("seed", range(4))
def test_what_is_not_right_is_neither_opened_nor_raised(seed: int) -> None:
    fuzz = Fuzz(seed)
    fuzz.run(2_500)
    assert fuzz.opened > 50
