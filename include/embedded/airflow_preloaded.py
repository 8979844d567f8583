"""The command `airflow` in a process that has imported beforehand what the tasks of a day import.

A task that the scheduler runs itself is a process forked from its own, and imports are nine tenths of what one takes:
Great Expectations alone 3 s, in each task that validates. What the scheduler has imported, none of them imports again.
Nothing here may open a connection.
"""

import importlib
import multiprocessing
import runpy

MODULES = (
    "airflow.sdk.execution_time.task_runner",
    "include.shadow.approval",
    "include.shadow.day",
    "include.shadow.edge.channels",
    "include.shadow.edge.context",
    "include.shadow.edge.tasks",
    "include.shadow.page.publishing",
    "include.shadow.source.postgres",
    "include.shadow.source.postgres_labels",
    "adbc_driver_postgresql.dbapi",
    "pandas",
)


def main() -> None:
    """`python -m include.embedded.airflow_preloaded scheduler ...`, as `airflow scheduler ...`."""
    if multiprocessing.get_start_method() == "fork":  # elsewhere a task imports for itself
        from include.shadow import evaluation

        evaluation.great_expectations()
        for name in MODULES:
            importlib.import_module(name)
    runpy.run_module("airflow", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
