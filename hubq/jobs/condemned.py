"""Jobs of keys that took their nodes down: their message is a dead letter (docs/poison.md), and RQ has to know.

The script that condemns a message knows nothing of RQ, and RQ would show the job as started for ever. So the next node that
serves the shard looks through its letters.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import of_shard
from hubq.client.asking.steps import Fetch, Operation
from hubq.hooks import ProcessStartups
from hubq.jobs.names import PREFIX, RUN_JOB
from hubq.store.dead_letters import DeadLetter, read_dead

if TYPE_CHECKING:
    from hubq.client.hub import Hub

log = logging.getLogger("hubq.jobs")


def watch_condemned(hub: Hub) -> None:
    """Have the nodes of this process fail the jobs of condemned messages, whenever a shard with keys comes to them."""

    async def look(data: ProcessStartups) -> None:
        if any(child.startswith(PREFIX) for child in data.children):
            await asyncio.to_thread(fail_condemned, hub, data.shard)

    hub.add_hook("process_startups", look)


def fail_condemned(hub: Hub, shard: int) -> list[str]:
    """Fail, in RQ, the jobs whose message is a dead letter of this shard; their ids. Jobs that have failed already are left alone."""
    from hubq.jobs.keyed import HubqKeyedJobs
    from hubq.jobs.keyed_work import condemn  # only now: a node without jobs does without rq

    failed, values = [], hub.driver.context.values
    for letter in hub.driver.drive(_letters(hub.driver.context, shard)):
        if not letter.child.startswith(PREFIX) or letter.method != RUN_JOB:
            continue
        try:
            args, _ = values.arguments(HubqKeyedJobs, RUN_JOB, letter.payload)
            job_id = str(args[0])
        except Exception:  # it names no job
            continue
        happened = f"It was in hand each time {letter.tries} workers died ({', '.join(letter.crashes)})"
        if letter.why != "took-down":
            happened = f"It could not be run ({letter.why})"
        why = f"{happened}: its message is dead letter {letter.letter}; `hubq dead replay` runs it again"
        if condemn(hub, job_id, letter.letter, why):
            log.error("job %s has failed: %s", job_id, why)
            failed.append(job_id)
    return failed


@of_shard
def _letters(hub: HubContext, shard: int) -> Operation[list[DeadLetter]]:
    answer: tuple[list[DeadLetter], ...] = yield Fetch([read_dead(hub.keys, shard)])
    return answer[0]
