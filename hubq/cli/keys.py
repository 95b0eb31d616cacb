"""``hubq keys``: the keys of the seal (docs/trust.md)."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from hubq.cli.conversion import Command, Group
from hubq.cli.loading import AsJson, HubName, RedisUrl, open_hub
from hubq.cli.output import print_records, print_table, say
from hubq.cli.reachable import of_those_that_answer
from hubq.client.operations.seals import reseal, seals
from hubq.errors import ConfigError, HubqError
from hubq.store.keyring import Keyring, new_keys

keys = typer.Typer(cls=Group, no_args_is_help=True, help="Make keys for the seal of a hub, and see which are in use.")


@keys.command("new", cls=Command)
def new_command() -> None:
    """Print the keys of HUBQ_KEYS with a new one behind them: the first root key of a hub, if there are none.

    Give what is printed to all workers. Move the new key to the front when all have it: it writes then.
    """
    known = Keyring.from_environment(os.environ)
    if known is not None and not known.root:
        raise ConfigError("HUBQ_KEYS has the keys of a client app: give the root keys")
    print(new_keys(known.text() if known is not None else ""))


@keys.command("derive", cls=Command)
def derive_command(
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="The name of the web app: shop.")],
) -> None:
    """Print the keys of a client app, made of the root keys of HUBQ_KEYS. The app gets these as its HUBQ_KEYS, and no others."""
    known = Keyring.from_environment(os.environ)
    if known is None:
        raise ConfigError("there are no root keys in HUBQ_KEYS or HUBQ_KEYS_FILE: `hubq keys new`")
    print(known.derive(client))


@keys.command("status", cls=Command)
def status_command(hub: HubName, as_json: AsJson = False, redis: RedisUrl = None) -> None:
    """Count the specs and states of a hub by key and by form (encrypted, signed). It needs no keys, and changes nothing."""
    opened = open_hub(hub, redis)
    with of_those_that_answer(opened):
        found = opened.driver.drive(seals(opened.driver.context))
        if as_json:
            print_records(found)
            return
        rows = [(each.what, str(each.key or "unsealed"), each.form, str(each.count)) for each in found]
        print_table(("what", "key", "form", "count"), rows)


@keys.command("reseal", cls=Command)
def reseal_command(hub: HubName, redis: RedisUrl = None) -> None:
    """Seal all specs and states anew that are not sealed, with another key than the first one, or in another form.

    The form is that of HUBQ_SEAL_FORM: encrypt, sign, or auto (encrypted if cryptography is installed). Workers may run
    meanwhile.

    What is not sealed is believed as it stands: do it while Redis holds nothing that you do not trust.
    """
    opened = open_hub(hub, redis)
    done = opened.driver.drive(reseal(opened.driver.context))
    say(f"{done.written} sealed anew")
    if done.left:
        raise HubqError(f"{len(done.left)} are left as they are, the first: {done.left[0]}")
