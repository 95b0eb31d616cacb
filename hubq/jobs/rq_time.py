"""Where RQ asks what time it is: a clock of a test puts its own there (:class:`hubq.testing.Clock`)."""

from __future__ import annotations

import rq.utils

#: All of RQ calls ``rq.utils.now``, which asks the module of this name here.
ASKED, NAME = rq.utils, "datetime"
