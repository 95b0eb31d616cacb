"""The ``hubq`` command."""
