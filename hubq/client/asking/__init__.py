"""How a hub is asked: the steps of operations, and the sessions that run them (:mod:`hubq.client.operations` asks)."""
