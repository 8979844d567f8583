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
    "shadow_deployment.promotion.approval",
    "shadow_deployment.pipeline.steps",
    "shadow_deployment.integrations.channels",
    "shadow_deployment.orchestration.run_context",
    "shadow_deployment.orchestration.tasks.daily",
    "shadow_deployment.report.publishing",
    "shadow_deployment.data.sources.postgres.requests",
    "shadow_deployment.data.sources.postgres.labels",
    "adbc_driver_postgresql.dbapi",
    "pandas",
)


def main() -> None:
    """`python -m shadow_demo.airflow_preloaded scheduler ...`, as `airflow scheduler ...`."""
    if multiprocessing.get_start_method() == "fork":  # elsewhere a task imports for itself
        from shadow_deployment.data.quality import great_expectations

        great_expectations.great_expectations()
        for name in MODULES:
            importlib.import_module(name)
    runpy.run_module("airflow", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
