"""What has started a run."""

from collections.abc import Mapping
from typing import Any


def run_type(context: Mapping[str, Any]) -> str:
    """Return what has started a run: scheduled, manual, backfill and so on."""
    found = getattr(context.get("dag_run"), "run_type", "")
    return str(getattr(found, "value", found))
