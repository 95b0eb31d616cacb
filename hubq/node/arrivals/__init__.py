"""How a shard or a child comes to this node."""
