"""Run by the tests in a process of a foreign project: what Airflow finds there, and what a day through it ends in.

python look.py FILE [DAY]: writes what is found into FILE as JSON, after it has run the day.
"""

import json
import sys
from pathlib import Path

from airflow import plugins_manager, settings
from airflow.dag_processing.dagbag import DagBag
from airflow.utils.db import initdb


def main(file: str, day: str | None = None) -> None:
    initdb()
    bag = DagBag(settings.DAGS_FOLDER)  # in safe mode: a file without the words "airflow" and "dag" is skipped
    import shadow_deployment

    plugins = [one for one in plugins_manager.get_plugin_info() if one["name"] == "shadow"]
    found = {
        "dags": sorted(bag.dags),
        "import errors": {Path(path).name: text for path, text in bag.import_errors.items()},
        "plugins": [str(one["source"]) for one in plugins],
        "plugin errors": plugins_manager.get_import_errors(),
        "package": str(Path(shadow_deployment.__file__).parent),
    }
    if day is not None:
        run = bag.dags["shadow_late"].test(run_conf={"day": day})
        found["states"] = {one.task_id: str(one.state) for one in run.get_task_instances()}
    Path(file).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
