"""package.py: what the bucket of an Amazon MWAA environment holds, in one folder (`make package ENV=dev`).

dags/               the DAG files, and your deployments, expectations and models below dags/include
plugins.zip         the wheel of shadow-deployment, which its entry point makes a plugin
requirements.txt    Apache Airflow's constraints, and the wheel
startup.sh          where relative paths of deployment files start

Environment: ENV (dev, staging or prod), PARAMETERS ("MwaaAirflowVersion=3.2.1"), EXTRAS ("alerts,onnx,report").
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
OURS = ("shadow_deployment", "shadow_demo", "infrastructure")  # the rest of include is the user's
NOT_PACKED = shutil.ignore_patterns("__pycache__", "README.md", "examples")
PYTHON = "3.12"  # of MWAA's images of Airflow 3.2 and 3.3
AIRFLOW = "/usr/local/airflow"
EXTRAS = "alerts,duckdb,onnx,report,sklearn"
STARTUP = f"""#!/bin/sh
# Relative paths of deployment files start here, and the deployments are in include/deployments.
export SHADOW_PROJECT={AIRFLOW}/dags
"""


def main() -> None:
    """Write the folder, list it, and print how it gets into the bucket."""
    environment = os.environ.get("ENV", "")
    if environment not in ("dev", "staging", "prod"):
        sys.exit(f"ENV == {environment!r}, must be one of dev, staging, prod: make package ENV=dev")
    folder = PROJECT / ".shadow" / f"mwaa-{environment}"
    version = airflow_version(os.environ.get("PARAMETERS", ""))
    write(folder, version, os.environ.get("EXTRAS") or EXTRAS)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        print(path.relative_to(PROJECT))
    print(f"for Airflow {version}; BUCKET is the stack's output BucketName:")
    print(f"aws s3 sync --delete {folder.relative_to(PROJECT)} s3://BUCKET/airflow")


def airflow_version(parameters: str) -> str:
    """Return the version that PARAMETERS names, else the default of the CloudFormation template; must be one of it."""
    text = (PROJECT / "include" / "infrastructure" / "shadow.yaml").read_text(encoding="utf-8")
    parameter = text.partition("  MwaaAirflowVersion:\n")[2].partition("Description:")[0]
    default, *allowed = re.findall(r'"(.+?)"', parameter)
    named = re.search(r"(?:^|\s)MwaaAirflowVersion=(\S*)", parameters)
    version = named[1] if named else default
    if version not in allowed:
        sys.exit(f"MwaaAirflowVersion == {version!r}, must be one of {', '.join(allowed)}")
    return version


def write(folder: Path, version: str, extras: str) -> None:
    """Write the bucket's content anew."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(PROJECT / "dags", folder / "dags", ignore=NOT_PACKED)
    for path in sorted((PROJECT / "include").iterdir()):
        if path.is_dir() and path.name not in OURS:
            shutil.copytree(path, folder / "dags" / "include" / path.name, ignore=NOT_PACKED)
    (folder / "dags" / ".airflowignore").write_text("include/\n", encoding="utf-8")
    wheel = build_wheel(folder)
    with zipfile.ZipFile(folder / "plugins.zip", "w") as archive:  # without the time, so that it changes with the wheel
        archive.writestr(zipfile.ZipInfo(wheel.name), wheel.read_bytes())
    wheel.unlink()
    (folder / "requirements.txt").write_text(requirements(version, wheel.name, extras), encoding="utf-8")
    (folder / "startup.sh").write_text(STARTUP, encoding="utf-8")


def build_wheel(folder: Path) -> Path:
    """Build the wheel of this checkout into a folder; return its path."""
    program = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    command = [sys.executable, "-c", program, str(folder)]
    built = subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True)
    return folder / built.stdout.split()[-1]


def requirements(version: str, wheel: str, extras: str) -> str:
    """Return what pip installs: the wheel from plugins.zip, the rest at the versions that Airflow was tested with."""
    constraints = f"https://raw.githubusercontent.com/apache/airflow/constraints-{version}/constraints-{PYTHON}.txt"
    return (
        f'--constraint "{constraints}"\n'
        f"--find-links {AIRFLOW}/plugins\n"
        f"shadow-deployment[{extras}]=={wheel.split('-')[1]}\n"
    )


if __name__ == "__main__":
    main()
