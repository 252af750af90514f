"""``python -m koppel.cli``."""

from koppel.cli.main import main

main()
