"""Messages and starts that took nodes down."""
