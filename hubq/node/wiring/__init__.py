"""All parts of a node are made here, lowest first: each gets what it needs by its constructor, and nothing afterwards."""
