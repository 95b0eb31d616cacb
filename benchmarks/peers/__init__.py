"""Other job systems, each in a virtual environment of its own, on the same work: ``python -m benchmarks --only peers``."""
