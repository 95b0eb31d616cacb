"""Shopping carts, one child each, behind Flask.

    pip install 'hubq[examples]'
    hubq worker examples.carts_flask:hub --name a          # one or more, in terminals of their own
    gunicorn --workers 4 examples.carts_flask:app          # forked processes: each opens connections of its own
    curl -X POST localhost:8000/carts/ann/items -H 'Content-Type: application/json' -d '{"item": "tea", "count": 2}'

Replace the workers as often as you like: carts move with what is in them, and no request fails.
"""

from __future__ import annotations

from contextlib import suppress

from flask import Flask, Response, jsonify, request

from hubq import AlreadyStarted, CallFailed, Child, Hub, RedisUnavailable, UnknownChild

hub = Hub("carts")
app = Flask(__name__)


@hub.child
class Cart(Child):
    """What one customer wants."""

    def __init__(self) -> None:
        self.items: dict[str, int] = {}

    async def add(self, item: str, count: int) -> dict[str, int]:
        """Put something in; all that is in it. Raises :class:`ValueError` below zero."""
        total = self.items.get(item, 0) + count
        if total < 0:
            raise ValueError(f"there are only {self.items.get(item, 0)} of {item}")
        self.items[item] = total
        return self.items

    async def contents(self) -> dict[str, int]:
        """All that is in it."""
        return self.items


@app.post("/carts/<customer>/items")
def add(customer: str) -> Response:
    """Put something into a cart, which is made if there is none."""
    wanted = request.get_json()
    cart = hub.ref(f"cart-{customer}")
    try:
        return jsonify(cart.call("add", wanted["item"], int(wanted.get("count", 1)), timeout=10))
    except UnknownChild:
        with suppress(AlreadyStarted):  # another request may have been first
            hub.start_child(f"cart-{customer}", Cart)
        return jsonify(cart.call("add", wanted["item"], int(wanted.get("count", 1)), timeout=10))


@app.get("/carts/<customer>")
def contents(customer: str) -> Response:
    """What is in a cart."""
    return jsonify(hub.ref(f"cart-{customer}").call("contents", timeout=10))


@app.errorhandler(UnknownChild)
def no_cart(error: UnknownChild) -> tuple[Response, int]:
    """There is no such cart."""
    return jsonify(error="no such cart"), 404


@app.errorhandler(CallFailed)
def refused(error: CallFailed) -> tuple[Response, int]:
    """The cart raised."""
    return jsonify(error=str(error)), 409 if error.remote_type == "ValueError" else 500


@app.errorhandler(RedisUnavailable)
def away(error: RedisUnavailable) -> tuple[Response, int]:
    """Redis is away."""
    return jsonify(error="try again later"), 503
