"""What RQ tells a worker by a channel: to stop a job. With ``seal="require"`` only a holder of a key can."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rq.command import send_command, send_stop_job_command
from rq.exceptions import InvalidJobOperation
from rq.executions import Execution
from rq.job import Job

from hubq.errors import Unsealed
from hubq.store.seal import Seal

#: What hubq tells; the others of RQ end workers.
STOP = "stop-execution"


def tell_to_stop(job: Job, seal: Seal | None) -> None:
    """Tell the worker that has a job in hand to stop it. Raises InvalidJobOperation: nobody has it in hand."""
    if seal is None or not seal.writes:
        send_stop_job_command(job.connection, job.id, serializer=job.serializer)
        return
    executions = job.get_executions()
    if not executions:
        raise InvalidJobOperation("Job is not currently executing")
    for execution in executions:
        worker = execution.worker_name or job.worker_name or ""
        proof = seal.proof(STOP, worker, job.id, execution.id)
        send_command(job.connection, worker, STOP, job_id=job.id, execution_id=execution.id, proof=proof)


def command_of(message: Mapping[str, Any]) -> dict[str, str]:
    """What a message in the channel of a worker says. Raises ValueError: it is no command.

    >>> command_of({"data": b'{"command": "stop-job", "job_id": "7"}'})
    {'command': 'stop-job', 'job_id': '7'}
    """
    told = json.loads(message["data"])
    if (
        not isinstance(told, dict)
        or not all(isinstance(value, str) for value in told.values())
        or "command" not in told
    ):
        raise ValueError("a command is an object of texts")
    return told


def checked(told: Mapping[str, str], worker: str, execution: Execution | None, seal: Seal | None) -> None:
    """Raise :class:`~hubq.errors.Unsealed` for a command that its worker must not follow: with ``seal="require"`` each but one to stop what
    it has in hand, with a proof that holds for this once.
    """
    if seal is None or not seal.required:
        return
    if told["command"] != STOP:
        raise Unsealed(f"a command {told['command']!r} has no proof")
    if execution is None or (told.get("job_id"), told.get("execution_id")) != (execution.job_id, execution.id):
        raise Unsealed("it is for what this worker has not in hand")
    seal.proven(told.get("proof", ""), STOP, worker, execution.job_id, execution.id)
