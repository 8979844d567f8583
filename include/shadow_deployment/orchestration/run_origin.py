"""What has started a run: its type, and the events of assets."""

from collections.abc import Mapping
from typing import Any


def run_type(run: Mapping[str, Any]) -> str:
    """Return what has started a run: scheduled, manual, backfill and so on."""
    kind = getattr(run.get("dag_run"), "run_type", "")
    return str(getattr(kind, "value", kind))


def asset_events(run: Mapping[str, Any]) -> list[Any]:
    """Return the events of assets that have started a run, none where somebody did."""
    return [event for events in (run.get("triggering_asset_events") or {}).values() for event in events]
