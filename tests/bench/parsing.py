"""How long Airflow takes to parse `dags/` with many deployments, and to import it.

Beside it as many DAGs of empty Python tasks, with the same names and edges: what Airflow itself takes.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.apart import PROJECT, Work, alternating
from tests.bench.table import Row
from tests.builders import FILE

TITLE = "parsing"
SIZES = {"full": 100, "quick": 20}
ROUNDS = 3
SECONDS = 3.0
TIMES = 2.0
IMPORTED = (  # by both before the clock starts: what an import costs is a row of its own
    "airflow.dag_processing.dagbag",
    "airflow.providers.standard.decorators.python",
    "jsonschema",
    "shadow_deployment.report.description",
    "shadow_deployment.orchestration.tasks.doctor",
    "shadow_deployment.orchestration.alerts.deadline",
    "shadow_deployment.orchestration.ui.links",
    "shadow_deployment.orchestration.alerts.gate",
    "shadow_deployment.orchestration.tasks.promotion",
    "shadow_deployment.orchestration.dags.step",
    "shadow_deployment.orchestration.tasks.daily",
    "airflow.providers.amazon.aws.assets.redshift",  # what Airflow itself imports for the first asset there is
    "airflow.providers.amazon.aws.assets.s3",
    "airflow.providers.common.io.assets.file",
    "airflow.providers.postgres.assets.postgres",
)
EMPTY = '''\
"""DAGs of empty tasks, as many and with the same edges as the shape beside this file."""

import datetime as dt
import json
from pathlib import Path

from airflow.sdk import DAG, task


def empty() -> None:
    """Do nothing."""


for dag_id, tasks in json.loads(Path(__file__).with_name("shape.json").read_text()).items():
    with DAG(dag_id, schedule=None, start_date=dt.datetime(2024, 1, 1), catchup=False) as dag:
        made = {name: task(task_id=name)(empty)() for name in tasks}
        for name, downstream in tasks.items():
            made[name] >> [made[other] for other in downstream]
    globals()[dag_id] = dag
'''


def parse(folder: str) -> dict[str, dict[str, list[str]]]:
    """Let Airflow parse a folder of DAGs; return each DAG's tasks, with those that come after each."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(folder)
    assert not bag.import_errors, bag.import_errors
    return {
        dag_id: {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
        for dag_id, dag in bag.dags.items()
    }


def import_airflow() -> None:
    """Import what every DAG file imports."""
    import airflow.sdk  # noqa: F401


def import_dags(folder: str) -> None:
    """Import the files of `dags/` in one process, Airflow with them."""
    import importlib
    import sys

    sys.path.insert(0, folder)
    for path in sorted(Path(folder).glob("*.py")):
        importlib.import_module(path.stem)


def measure(size: str) -> dict[str, Any]:
    """Write deployment files and empty DAGs, and parse both folders in turn."""
    count = SIZES[size]
    with tempfile.TemporaryDirectory(prefix="shadow-bench-") as name:
        folder = Path(name)
        _write_deployments(folder / "deployments", count)
        (folder / "none").mkdir()
        variables = _variables(folder, "deployments")
        ours = Work(parse, {"folder": str(PROJECT / "dags")}, uses=IMPORTED, variables=variables)
        shape = ours.measure().result
        empty = folder / "empty"
        empty.mkdir()
        (empty / "empty.py").write_text(EMPTY)
        (empty / "shape.json").write_text(json.dumps(shape))
        theirs = Work(parse, {"folder": str(empty)}, uses=IMPORTED, variables=variables)
        parsed, parsed_empty = alternating([ours, theirs], ROUNDS)
        assert parsed_empty.result == shape
        bare, with_dags = alternating(
            [
                Work(import_airflow, {}, variables=_variables(folder, "none")),
                Work(import_dags, {"folder": str(PROJECT / "dags")}, variables=_variables(folder, "none")),
            ],
            ROUNDS,
        )
    return {
        "deployments": count,
        "dags": len(shape),
        "tasks": sum(map(len, shape.values())),
        "parse": parsed.seconds,
        "parse_empty": parsed_empty.seconds,
        "import_airflow": bare.seconds,
        "import_dags": with_dags.seconds,
        "peak_mb": parsed.peak_mb,
    }


def rows(found: dict[str, Any]) -> list[Row]:
    """Return parsing beside empty DAGs and against its limit, and what our imports add to Airflow's."""
    size = f"{found['deployments']} deployments"
    empty = f"{found['dags']} empty DAGs, {found['tasks']:,} tasks"
    return [
        Row("parsing", "dags/", size, found["parse"], beside=empty, theirs=found["parse_empty"], at_most=TIMES),
        Row("parsing", "the same", size, found["parse"], at_most=SECONDS),
        Row(
            "parsing",
            "import dags/",
            "no deployment",
            found["import_dags"],
            beside="import airflow.sdk",
            theirs=found["import_airflow"],
        ),
    ]


def _write_deployments(folder: Path, count: int) -> None:
    text = (PROJECT / FILE).read_text(encoding="utf-8")
    line = "name: flight_delay\n"
    assert line in text
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:04}.yaml").write_text(text.replace(line, f"name: flight_delay_{number}\n", 1))


def _variables(folder: Path, deployments: str) -> dict[str, str]:
    return {
        "SHADOW_DEPLOYMENTS": str(folder / deployments),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    }
