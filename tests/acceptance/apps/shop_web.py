"""A hub behind two web frameworks, as docs/guide-apps.md has it."""

import os
from typing import Annotated

from fastapi import Depends, FastAPI
from flask import Flask, current_app, jsonify

from hubq import Child, Hub
from hubq.contrib import fastapi as in_fastapi
from hubq.contrib.fastapi import child_of
from hubq.contrib.flask import HubQ

hub = Hub(os.environ["HUBQ_TEST_HUB"], lease=2.0, lease_margin=0.5)


@hub.child
class Cart(Child):
    activate = True

    def __init__(self) -> None:
        self.items = 0

    def add(self) -> int:
        self.items += 1
        return self.items

    def shop(self) -> str:
        return str(current_app.config["SHOP"])


flask_app = Flask(__name__)
flask_app.config.update(SHOP="the shop", HUBQ_HUB="shop_web:hub")
HubQ(flask_app, hub)
fastapi_app = FastAPI(lifespan=in_fastapi.lifespan(hub), exception_handlers=in_fastapi.error_handlers())


@flask_app.post("/carts/<name>")
def flask_add(name: str):
    return jsonify(hub.ref(Cart, name).call(Cart.add))


@fastapi_app.post("/carts/{name}")
async def fastapi_add(cart: Annotated[object, Depends(child_of(hub, Cart, "name"))]) -> int:
    return await cart.call(Cart.add)
