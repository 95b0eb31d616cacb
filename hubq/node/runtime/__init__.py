"""What every part of a node is given: who the node is, its Redis, work in the background, events, hooks, counters."""
