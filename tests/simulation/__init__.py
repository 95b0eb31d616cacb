"""Deterministic simulation: the real nodes, the real client and the real Lua scripts under one seeded scheduler.

``python -m tests.simulation`` runs schedules; docs/testing.md says how it works and how to replay one.
"""
