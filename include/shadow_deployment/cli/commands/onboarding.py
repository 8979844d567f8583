"""The commands of a newcomer: `schema` for editors."""

import sys

from shadow_deployment.config.schema import SCHEMA_FILE


def schema() -> None:
    """Print the JSON Schema of deployment files, for editors: every key, its type and what it means."""
    sys.stdout.write(SCHEMA_FILE.read_text(encoding="utf-8"))
