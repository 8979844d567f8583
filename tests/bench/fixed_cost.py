"""What a day costs however few its requests are: a command for one day, each further day of it, and what imports cost.

Figures are seconds of the processor, of a command with the processes of its models, so that it matters little what else
the machine does.
"""

import hashlib
import os
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from shadow_demo.postgres import EmbeddedPostgres
from tests.bench.apart import PROJECT
from tests.bench.scheduler import a_world
from tests.bench.table import Row
from tests.production import DAYS, World, day

TITLE = "the fixed cost of a day"
SIZES = {"full": 3, "quick": 1}
STARTS = {
    "validating": "from shadow_deployment.data.quality import validation, great_expectations as g; g._context()",
    "great_expectations": "import great_expectations as g; g.get_context(mode='ephemeral')",
    "steps": "from shadow_deployment.pipeline import steps",
    "libraries": "import pyarrow, psycopg, pydantic, yaml",
}


def measure(size: str) -> dict[str, list[float]]:
    """Start processes that import; run days by a command each, and those that are left by one."""
    found: dict[str, list[float]] = {}
    for _ in range(SIZES[size]):
        for name, program in STARTS.items():
            found.setdefault(name, []).append(_seconds([sys.executable, "-c", program], {}))
    with tempfile.TemporaryDirectory(prefix="shadow-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the server may run as another user
        with EmbeddedPostgres(folder / "postgres") as server:
            world = a_world(server, folder / "world")
            _deploy(world)
            found["one day"] = [_run(world, number, number) for number in range(SIZES[size])]
            left = (SIZES[size], DAYS - 2)
            found["days"] = [_run(world, *left) / (left[1] - left[0] + 1)]
    return found


def rows(found: dict[str, Any]) -> list[Row]:
    """Return seconds of the processor: of imports, of a command for one day, and of a day of a longer one."""
    middle = {name: statistics.median(seconds) for name, seconds in found.items()}
    return [
        Row(
            "fixed_cost",
            "a process that validates, before its first row",
            "imports",
            middle["validating"],
            beside="import great_expectations",
            theirs=middle["great_expectations"],
        ),
        Row(
            "fixed_cost",
            "a process of any other step",
            "imports",
            middle["steps"],
            beside="import its libraries",
            theirs=middle["libraries"],
        ),
        Row(
            "fixed_cost",
            "a day of shadow run --from --to, one scikit-learn model",
            "60 requests",
            middle["days"],
            beside="shadow run for that day alone",
            theirs=middle["one day"],
        ),
    ]


def _deploy(world: World) -> None:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit([[0.0, 0.0], [1.0, 1.0]], [0, 1])
    path = world.folder / "model.pickle"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(model))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    challenger = {"name": "one", "model": f"sklearn:{path}", "digest": digest, "unpickle": True}
    world.deploy(challengers=[challenger], requests={"features": ["dep_hour", "distance"]})


def _run(world: World, first: int, last: int) -> float:
    command = ["-m", "shadow_deployment", "run", "late", "--from", str(day(first)), "--to", str(day(last))]
    return _seconds([sys.executable, *command], world.variables())


def _seconds(command: list[str], variables: dict[str, str]) -> float:
    began = _of_children()
    done = subprocess.run(
        command, cwd=PROJECT, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-500:])
    return _of_children() - began


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
