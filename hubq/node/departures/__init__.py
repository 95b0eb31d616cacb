"""How a shard, a pin or a child leaves this node."""
