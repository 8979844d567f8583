"""The table of README.md that maps each step of the guide to a command here, as data."""

import re

from tests.conftest import PROJECT

README = PROJECT / "include" / "infrastructure" / "README.md"
DEPLOY, DESTROY = ["deploy", "ENV=dev"], ["destroy", "ENV=dev"]  # test_stack.py runs them by make
PROGRAMS = ("shadow", "psql", "make", "python", "aws")


def commands() -> list[str]:
    """Return every command of the table's last column, in order."""
    _, _, rest = README.read_text(encoding="utf-8").partition("## The guide of ml_systems_7\n")
    table, _, _ = rest.partition("\n## ")
    cells = [re.split(r"(?<!\\)\|", line)[2].replace("\\|", "|") for line in table.splitlines() if line.startswith("|")]
    quoted = [text for cell in cells for text in re.findall(r"`([^`]+)`", cell)]
    return [text for text in quoted if text.split()[0] in PROGRAMS and " " in text]
