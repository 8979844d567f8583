"""`python -m shadow_demo demo | up | down`."""

import sys

from rich.console import Console

from shadow_demo import demo
from shadow_demo.home import Home

COMMANDS = {"demo": demo.run, "up": demo.up, "down": demo.down}


def main() -> None:
    """Run one of the commands; anything foreseen that goes wrong is a message and exit code 1."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in COMMANDS:
        console.print(f"python -m shadow_demo {' | '.join(COMMANDS)}", markup=False)
        sys.exit(2)
    sys.exit(COMMANDS[name](Home(), console))


if __name__ == "__main__":
    main()
