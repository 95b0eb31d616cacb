"""What flows in: messages to children, and requests to take them back."""
