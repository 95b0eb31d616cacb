"""How a hub is asked: steps, and what runs them. Knows nothing of what is asked (:mod:`hubq.client.operations`)."""
