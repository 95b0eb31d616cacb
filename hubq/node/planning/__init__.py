"""The plan, the parts that carry it out, and the control messages of other nodes."""
