"""Web apps whose state is in children."""
