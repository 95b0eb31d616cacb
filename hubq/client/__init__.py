"""What a web app imports: the hub, references to children, futures."""
