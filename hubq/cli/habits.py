"""What users of Celery, RQ and Dramatiq type out of habit, and what hubq has for it (docs/guide-coming-from.md)."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: Commands of theirs.
COMMANDS = {
    "inspect": "hubq jobs HUB lists jobs, hubq ps HUB children, hubq nodes HUB workers",
    "control": "hubq drain, move, stop, kill and pause act on workers and children",
    "status": "hubq nodes HUB lists workers, hubq doctor HUB says what is wrong",
    "info": "hubq jobs HUB counts jobs, hubq nodes HUB lists workers",
    "list": "hubq ps HUB lists children, hubq jobs HUB jobs",
    "purge": "hubq mailbox drop HUB drops messages, rq empty hubq-HUB jobs, hubq delete-hub HUB all that a hub has",
    "empty": "rq empty hubq-HUB drops the jobs that wait",
    "requeue": "rq requeue --queue hubq-HUB --all enqueues failed jobs again, hubq dead replay HUB messages that failed",
    "beat": "a hub has a clock of its own, which runs hub.cron(...): start a worker",
    "cron": "a hub has a clock of its own, which runs hub.cron(...): start a worker",
    "scheduler": "a hub has a clock of its own, which runs hub.cron(...): start a worker",
    "flower": "hubq web HUB is a view in the browser, hubq top HUB one in the terminal",
    "multi": "hubq worker app:hub --processes 4",
    "run": "hubq worker app:hub",
    "logs": "hubq events HUB --follow shows what happens to the hub; workers log to stderr",
}
#: Options of theirs, of `worker` above all.
OPTIONS = {
    "-A": "the hub is an argument: hubq worker app:hub",
    "--app": "the hub is an argument: hubq worker app:hub",
    "-c": "--jobs N is the number of job processes, --processes N that of workers for children",
    "--concurrency": "--jobs N is the number of job processes, --processes N that of workers for children",
    "-P": "jobs run in processes of their own (--jobs N), children in the event loop, plain def methods in threads",
    "--pool": "jobs run in processes of their own (--jobs N), children in the event loop, plain def methods in threads",
    "-Q": "a hub has one queue of jobs: take another Hub for another queue",
    "--queues": "a hub has one queue of jobs: take another Hub for another queue",
    "-B": "a hub has a clock of its own, which runs hub.cron(...): nothing is needed",
    "--beat": "a hub has a clock of its own, which runs hub.cron(...): nothing is needed",
    "--with-scheduler": "a hub has a clock of its own, which runs hub.cron(...): nothing is needed",
    "--hostname": "--name is the name of a worker",
    "-E": "hubq events HUB has them always",
    "--url": "--redis URL, or HUBQ_REDIS_URL",
    "-u": "--redis URL, or HUBQ_REDIS_URL",
    "--broker": "--redis URL, or HUBQ_REDIS_URL",
    "--watch": "--reload restarts a worker when the code changes",
    "--autoreload": "--reload restarts a worker when the code changes",
    "--burst": "a worker runs until SIGTERM. For a test of jobs: rq.SimpleWorker([hub.rq_queue]).work(burst=True)",
}
#: As versions of click say it.
_UNKNOWN = re.compile(r"No such (?:command '(?P<command>[^']*)'|option: (?P<option>\S+)|option '(?P<quoted>[^']*)')")


def hinted(message: str, group: str = "hubq", commands: Sequence[str] = ()) -> str:
    """The message of a usage error, with what to give or to use instead: of a forgotten hub, of a forgotten command of a group
    (``group`` is its path, ``commands`` are its own), or of a habit of another system.

    >>> hinted("No such command 'chat'.", "hubq dead", ["drop", "list"])
    "No such command 'chat': give one of drop, list (hubq dead drop ...)"
    >>> hinted("No such option: -A")
    'No such option: -A: the hub is an argument: hubq worker app:hub'
    >>> hinted("No such option '--app'. Did you mean '--tag'?")
    'No such option: --app: the hub is an argument: hubq worker app:hub'
    >>> hinted("Missing argument 'HUB'.")
    "Missing argument 'HUB': give module:attribute, for example app:hub, or the id of a hub. `hubq hubs` lists them"
    >>> hinted("No such command 'nodez'. Did you mean 'nodes'?")
    "No such command 'nodez'. Did you mean 'nodes'?"
    """
    if message.startswith("Missing argument 'HUB'"):
        return f"{message.rstrip('.')}: give module:attribute, for example app:hub, or the id of a hub. `hubq hubs` lists them"
    found = _UNKNOWN.match(message)
    if found is None:
        return message
    if commands and found["command"] is not None and "Did you mean" not in message:
        return f"{found[0]}: give one of {', '.join(commands)} ({group} {commands[0]} ...)"
    if known := COMMANDS.get(found["command"] or ""):
        return f"{found[0]}: {known}"
    option = found["option"] or found["quoted"] or ""
    return f"No such option: {option}: {OPTIONS[option]}" if option in OPTIONS else message
