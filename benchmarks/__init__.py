"""hubq measured against bare loops on this machine: ``python -m benchmarks``."""
