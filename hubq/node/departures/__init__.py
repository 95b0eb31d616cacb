"""How a shard or a child leaves this node."""
