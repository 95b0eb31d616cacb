"""The one fenced act, and what follows when it is refused."""
