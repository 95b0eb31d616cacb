"""A run of each script that gets to every place at which it writes: docs/adr/0008 is checked with them."""

from . import crashes, dormancy, members, messages, operators, owners, sayings
from .drives import DRIVES
from .world import World

__all__ = ["DRIVES", "World", "crashes", "dormancy", "members", "messages", "operators", "owners", "sayings"]
