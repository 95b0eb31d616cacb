"""Real ``hubq`` processes for ProcessHub's own integration cases: the fixtures of the acceptance tests."""

from acceptance.conftest import hub, hub_id, redis_server, shell

__all__ = ["hub", "hub_id", "redis_server", "shell"]
