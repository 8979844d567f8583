"""`make compat`: one day of the demo's DAG on other releases of Airflow, by the constraints of managed services.

For each file airflow-VERSION-pythonVERSION.txt in the folder CONSTRAINTS, the wheel is installed beside that Airflow
into an environment of its own, with that Python, which must be there, and a project that knows nothing of this checkout
runs the day by `airflow dags test`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from infrastructure.package import build_wheel
from shadow_demo.home import DEPLOYMENT, LEDGER, OWNERS, PRODUCTION, READER, WRITER, Home
from shadow_deployment.base.paths import PROJECT

UV = [sys.executable, "-m", "uv"]
DAY = "2013-03-01"
LIBRARIES = ("apache-airflow", "apache-airflow-providers-amazon", "apache-airflow-providers-postgres", "sqlalchemy")
DAG_FILE = '''"""The Airflow DAGs of the deployments beside this file."""
from shadow_deployment import shadow_dags

globals().update(shadow_dags("deployments"))
'''


@dataclass(frozen=True)
class Constraints:
    """Apache Airflow's constraints of one release and one Python."""

    file: Path
    airflow: str
    python: str

    def requirements(self, wheel: Path, extras: str) -> list[str]:
        """Return what pip and uv take to install the wheel beside this Airflow."""
        return [f"apache-airflow=={self.airflow}", f"shadow-deployment[{extras}] @ {wheel.as_uri()}"]


def constraints() -> list[Constraints]:
    """Return the constraint files of the folder CONSTRAINTS, none where there is no such folder."""
    folder = Path(os.environ.get("CONSTRAINTS") or PROJECT.parent / "shared" / "constraints")
    names = {path: re.fullmatch(r"airflow-(.+)-python(.+)\.txt", path.name) for path in sorted(folder.glob("*.txt"))}
    return [Constraints(path, found[1], found[2]) for path, found in names.items() if found]


def resolve(one: Constraints, wheel: Path) -> str:
    """Return the versions of all that the wheel and its extras need; raise what uv says if they contradict."""
    options = ["--python-version", one.python, "--constraint", str(one.file), "--no-header", "--no-annotate"]
    command = [*UV, "pip", "compile", "--quiet", *options, "-"]
    return run(command, text="\n".join(one.requirements(wheel, "all,mlflow")))


def run(command: list[str], *, text: str | None = None, cwd: Path | None = None, **variables: str) -> str:
    """Run a command outside this checkout's environment; return what it prints, or exit with what it says."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW_", "SHADOW_", "PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        command, input=text, cwd=cwd, env=kept | variables, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def main() -> None:
    """Run the day on each Airflow; print versions and times."""
    found = constraints()
    if not found:
        print("compat: skipped, there is no airflow-VERSION-pythonVERSION.txt; CONSTRAINTS=FOLDER says where they are")
        return
    folder = Path(tempfile.mkdtemp(prefix="shadow-compat-"))
    folder.chmod(0o711)  # PostgreSQL enters it as another user where this one is root
    home = Home(folder / "home")
    try:
        home.start_databases()
        home.load_production()
        wheel = build_wheel(folder)
        for one in found:
            print(_compatible(one, wheel, home, folder / one.airflow), flush=True)
    finally:
        home.postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _compatible(one: Constraints, wheel: Path, home: Home, folder: Path) -> str:
    began = time.monotonic()
    environment = _install(one, wheel, folder / "environment")
    installed = time.monotonic()
    outcomes = _day(environment, home, folder / "project", f"{LEDGER}_{one.airflow.replace('.', '_')}")
    ended = time.monotonic()
    return (
        f"{_versions(environment)}: installed in {installed - began:.0f} s, {DAY} in {ended - installed:.0f} s: "
        + ", ".join(f"{name} {outcome}" for name, outcome in outcomes.items())
    )


def _install(one: Constraints, wheel: Path, environment: Path) -> Path:
    run([*UV, "venv", "--quiet", "--no-python-downloads", "--python", one.python, str(environment)])
    options = ["--python", str(environment / "bin" / "python"), "--constraint", str(one.file)]
    run([*UV, "pip", "install", "--quiet", *options, *one.requirements(wheel, "onnx,report")])
    return environment


def _versions(environment: Path) -> str:
    program = (
        "import platform; from importlib.metadata import version; "
        f"print(*(f'{{name}} {{version(name)}}' for name in {LIBRARIES!r}), 'Python ' + platform.python_version(), "
        "sep=', ')"
    )
    return run([str(environment / "bin" / "python"), "-c", program]).strip()


def _day(environment: Path, home: Home, project: Path, ledger: str) -> dict[str, str]:
    """Run a day of the demo's DAG in a project of its own; return each challenger's outcome."""
    home.postgres.ensure_database(ledger, OWNERS[LEDGER])
    (project / "dags" / "deployments").mkdir(parents=True)
    (project / "dags" / "shadow.py").write_text(DAG_FILE, encoding="utf-8")
    shutil.copy(PROJECT / "include" / "deployments" / f"{DEPLOYMENT}.yaml", project / "dags" / "deployments")
    for name in ("models", "expectations"):
        shutil.copytree(PROJECT / "include" / name, project / "include" / name)
    variables = {
        "AIRFLOW_HOME": str(project),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__SHADOW__DEPLOYMENTS": "dags/deployments",
        "AIRFLOW_CONN_PRODUCTION_DB": home.postgres.uri(PRODUCTION, READER),
        "AIRFLOW_CONN_SHADOW_DB": home.postgres.uri(ledger, WRITER),
        "AIRFLOW_CONN_SHADOW_OWNER": home.postgres.uri(ledger, OWNERS[LEDGER]),
    }
    for command in (
        "airflow db migrate",
        "airflow pools set shadow_scoring 4 scoring",
        f"shadow migrate --writer {WRITER}",
        f'airflow dags test shadow_{DEPLOYMENT} --conf {{"day":"{DAY}"}}',
    ):
        program, *arguments = command.split()
        run([str(environment / "bin" / program), *arguments], cwd=project, **variables)
    said = run([str(environment / "bin" / "shadow"), "verdict", DEPLOYMENT, "--json"], cwd=project, **variables)
    return {each["name"]: each["outcome"] for each in json.loads(said)["challengers"]}


if __name__ == "__main__":
    main()
