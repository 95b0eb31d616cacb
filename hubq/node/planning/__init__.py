"""The plan, what carries it out, and the control messages of other nodes."""
