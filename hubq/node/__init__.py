"""One worker process of a hub (docs/architecture.md has the ways through it)."""
