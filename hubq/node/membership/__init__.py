"""Join, lease, leave, quorum; and the dropping of all that is void when the node is no member any more."""
