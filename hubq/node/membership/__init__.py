"""Join, lease, leave, quorum, and what becomes of everything when the node is no member any more."""
