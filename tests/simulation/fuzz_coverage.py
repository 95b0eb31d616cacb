"""Bytes that a fuzzer makes up, guided by what of the code they reach, through all that reads what others have written.

``pip install atheris``, then by hand: ``python -m tests.simulation.fuzz_coverage -max_total_time=60``.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def main() -> None:
    """Until it finds something, or its time is over."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["hubq"]):
        readers: Any = importlib.import_module("tests.simulation.fuzz_readers")
    atheris.Setup(sys.argv, readers.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
