"""How a shard, a pin or a child comes to this node."""
