"""What has started a run."""

from collections.abc import Mapping
from typing import Any


def run_type(run: Mapping[str, Any]) -> str:
    """Return what has started a run: scheduled, manual, backfill and so on."""
    kind = getattr(run.get("dag_run"), "run_type", "")
    return str(getattr(kind, "value", kind))
