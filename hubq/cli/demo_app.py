"""The app of the demo: what ``hubq worker hubq.cli.demo_app:hub`` serves. (Only the demo's own processes import it.)"""

from __future__ import annotations

import os

from hubq.cli.demo_child import GROUPS, HUB_ID, make_hub

hub = make_hub(os.environ.get(HUB_ID, "demo"), groups=int(os.environ.get(GROUPS, "1")))
