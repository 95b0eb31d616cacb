"""Strategies: a protocol file and one sibling file per strategy."""
