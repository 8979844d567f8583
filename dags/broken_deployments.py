"""No DAG: says, as Airflow's import error, what is wrong with deployment files that cannot be used.

Airflow keeps one import error a file and stops every DAG of that file. Here there is none to stop, so a mistake in one
deployment leaves the others running.
"""

from include.shadow.deployment import load
from include.shadow.deployments import paths
from include.shadow.errors import DeploymentError

problems: list[str] = []
names: dict[str, str] = {}
for path in paths():
    try:
        name = load(path).name
    except DeploymentError as error:
        problems.append(str(error))
        continue
    if name in names:
        problems.append(f"deployment {name}: name == {name!r}, must be there once ({names[name]} and {path})")
    names[name] = str(path)
if problems:
    raise DeploymentError("\n".join(problems))
