"""``python -m hubq``: the same as the ``hubq`` command."""

from hubq.cli.main import run

if __name__ == "__main__":
    run()
