"""hubq measured against a bare redis-py loop on this machine: ``python -m benchmarks``."""
