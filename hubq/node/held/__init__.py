"""What is on this node: holdings, hosted children, cursors, what is to be committed. Nothing here waits for Redis or starts a task."""
