"""What comes in: messages to children, starts among them, and withdrawals of calls."""
