"""What is on this node: holdings, hosted children, cursors, the commit queue. Passive: nothing here asks Redis or starts a task."""
