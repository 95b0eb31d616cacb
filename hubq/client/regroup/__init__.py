"""A hub that nobody serves is moved to another number of groups (docs/guide-cluster.md)."""
