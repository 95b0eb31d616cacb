"""Chaos on real processes: what is thrown at a hub is in ``plan``, what must hold afterwards in ``verdict``."""
