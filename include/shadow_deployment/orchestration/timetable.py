"""The timetable of a deployment that ends: it schedules no day after its last one, and leaves runs by hand alone.

An `end_date` on the DAG would do more: a run started after it has no task, and ends green at once.
"""

import datetime as dt
from typing import Any

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from pendulum import instance


class LastWindowTimetable(CronDataIntervalTimetable):
    """Data intervals by a cron expression, the last of which begins at `last_start`, an aware moment."""

    def __init__(self, cron: str, timezone: Any, last_start: dt.datetime) -> None:
        super().__init__(cron, timezone)
        self.last_start = last_start
        self.description = f"{self.description}, until {last_start:%Y-%m-%d}"

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """Return the next run, None after the last window."""
        latest = instance(self.last_start)
        if restriction.latest is not None:
            latest = min(latest, restriction.latest)
        return super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval, restriction=restriction._replace(latest=latest)
        )

    def serialize(self) -> dict[str, Any]:
        """Return what `deserialize` takes."""
        return {**super().serialize(), "last_start": self.last_start.isoformat()}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> "LastWindowTimetable":
        """Return the timetable that was serialized."""
        whole = CronDataIntervalTimetable.deserialize(data)
        assert isinstance(whole, CronDataIntervalTimetable)  # noqa: S101 (for the type checker)
        return cls(whole._expression, whole._timezone, dt.datetime.fromisoformat(data["last_start"]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LastWindowTimetable) and self.serialize() == other.serialize()

    def __hash__(self) -> int:
        return hash((self.summary, self.last_start))
