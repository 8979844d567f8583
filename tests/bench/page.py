"""How long the list of all deployments and the page of one take, beside Airflow's own page of DAGs.

All are asked for in one process of Airflow's API, with a login, from a ledger of many deployments: first as the process
has just started, then as nothing has changed, and the page anew, as after a day was judged.
"""

import os
import statistics
import time
from typing import Any

import psycopg
import yaml

from shadow_deployment.config.deployment import Deployment, load_deployment
from shadow_deployment.data.sampling import design, digest
from shadow_deployment.ledger import snapshots
from tests.bench import year
from tests.bench.apart import PROJECT, Work
from tests.bench.place import LEDGER, Place, new_place
from tests.bench.table import Row
from tests.builders import EXAMPLE
from tests.production import linear_model

TITLE = "pages"
SIZES = {"full": (100, 120), "quick": (5, 40)}
ROUNDS = 5
LIST_SECONDS, PAGE_SECONDS, COLD_SECONDS = 0.5, 0.3, 1.0
FEATURES = ("dep_hour", "distance")
# What list and fingerprints read, for one more deployment like the first one.
MODELS = """
INSERT INTO shadow.model_version (deployment_id, name, version, uri, digest)
SELECT %(to)s, name, version, uri, digest FROM shadow.model_version WHERE deployment_id = %(of)s ORDER BY id
"""
SNAPSHOTS = """
WITH d AS (
    INSERT INTO shadow.sampled_day (deployment_id, day, design, window_start, window_end, location, source)
    SELECT %(to)s, day, %(design)s, window_start, window_end, location, source
    FROM shadow.sampled_day WHERE deployment_id = %(of)s ORDER BY day
    RETURNING id, day
)
INSERT INTO shadow.sampled_window (snapshot_id, number, window_start, window_end, population, first_ordinal, rows,
    first_shard, shards, digest, champion_versions)
SELECT d.id, 1, s.window_start, s.window_end, s.population, 0, 0, 0, 0, s.digest, s.champion_versions
FROM d JOIN shadow.snapshot AS s ON (s.deployment_id, s.day) = (%(of)s, d.day)
"""
COLLECTIONS = """
INSERT INTO shadow.label_collection (snapshot_id, collection, labels_until, arrival, labelled, contradicted, invalid,
    early, complete_at)
SELECT n.id, 1, labels_until, arrival, labelled, contradicted, invalid, early, complete_at
FROM shadow.label_collection AS c JOIN shadow.snapshot AS s ON s.id = c.snapshot_id
JOIN shadow.snapshot AS n ON (n.deployment_id, n.day) = (%(to)s, s.day) WHERE s.deployment_id = %(of)s
"""
COMPARISONS = """
INSERT INTO shadow.comparison (snapshot_id, challenger_id, label_revision, is_final, method_digest)
SELECT s.id, m.id, 1, true, ''
FROM shadow.snapshot AS s JOIN shadow.model_version AS m USING (deployment_id) WHERE s.deployment_id = %(to)s
"""
VALIDATIONS = """
INSERT INTO shadow.validation (snapshot_id, challenger_id, revision, digest, success, suite, evaluated, failures)
SELECT s.id, m.id, 1, '', true, 'suite', 10, '[]'
FROM shadow.snapshot AS s JOIN shadow.model_version AS m USING (deployment_id) WHERE s.deployment_id = %(to)s
"""
VERDICTS = """
INSERT INTO shadow.verdict (deployment_id, day, challenger_id, champion_version, design, days, outcome, reasons,
    warnings, findings, blocked, alpha, counted_evidence, shown_evidence, policy, explanation, input_digest,
    code_version, revision)
SELECT %(to)s, v.day, n.id, champion_version, %(design)s, days, outcome, reasons, warnings, findings, blocked, alpha,
    counted_evidence, shown_evidence, policy, explanation, input_digest, code_version, revision
FROM shadow.verdict AS v JOIN shadow.model_version AS m ON m.id = v.challenger_id
JOIN shadow.model_version AS n ON (n.deployment_id, n.name) = (%(to)s, m.name)
WHERE v.deployment_id = %(of)s ORDER BY v.id
"""
COPIES = (MODELS, SNAPSHOTS, COLLECTIONS, COMPARISONS, VALIDATIONS, VERDICTS)


def serve(name: str) -> dict[str, float]:
    """Ask for list, page and Airflow's DAGs in turn; return the seconds of each."""
    from airflow.utils.db import initdb

    initdb()
    _enter_dags()
    client = _client()
    paths = {"list": "/shadow/", "page": f"/shadow/deployments/{name}", "dags": "/ui/dags?limit=100"}
    found = {f"{what}, first": _seconds(client, path) for what, path in paths.items()}
    for what, path in paths.items():
        found[what] = statistics.median(_seconds(client, path) for _ in range(ROUNDS))
    found["page, anew"] = statistics.median(_anew(client, paths["page"]) for _ in range(ROUNDS))
    return found


def measure(size: str) -> dict[str, Any]:
    """Fill a ledger with as many deployments, and ask for the pages in a process of its own."""
    count, days = SIZES[size]
    with new_place() as place:
        names = _fill(place, count, days)
        variables = {
            "SHADOW_DEPLOYMENTS": str(place.folder / "deployments"),
            "AIRFLOW_HOME": str(place.folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "AIRFLOW_CONN_SHADOW_DB": place.uri(LEDGER),
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "include")]),
        }
        return {"deployments": count, "days": days} | Work(
            serve, {"name": names[0]}, variables=variables
        ).measure().result


def rows(found: dict[str, Any]) -> list[Row]:
    """Return list and page beside Airflow's own page of DAGs."""
    size, beside = f"{found['deployments']} deployments", "Airflow's page of as many DAGs"
    goals = {"list": LIST_SECONDS, "page": PAGE_SECONDS, "page, anew": COLD_SECONDS}
    return [
        Row(
            "page",
            what,
            f"{size}, {found['days']} days",
            found[what],
            beside=beside,
            theirs=found["dags, first" if "first" in what else "dags"],
            at_most=goals.get(what),
            absolute=True,
        )
        for what in ("list", "page", "page, anew", "list, first", "page, first")
    ]


def _seconds(client: Any, path: str) -> float:
    began = time.perf_counter()
    answer = client.get(path)
    seconds = time.perf_counter() - began
    assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
    return seconds


def _anew(client: Any, path: str) -> float:
    """Ask for a page that is not remembered, as after a day was judged."""
    from shadow_deployment.orchestration.ui import app

    app._pages.clear()
    return _seconds(client, path)


def _enter_dags() -> None:
    """Let Airflow know the DAGs, as its processor does."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(DagBag(str(PROJECT / "dags")), "dags-folder", None)


def _client() -> Any:
    """Return a client of Airflow's API, logged in."""
    from airflow.api_fastapi.app import create_app
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from fastapi.testclient import TestClient

    app = create_app()
    token = app.state.auth_manager.generate_jwt(SimpleAuthManagerUser(username="ada", role="admin"))
    return TestClient(app, headers={"Authorization": f"Bearer {token}"})


def _fill(place: Place, count: int, days: int) -> list[str]:
    """Write deployment files and a ledger of them; return their names."""
    for number, name in enumerate(("better", "worse")):
        linear_model(place.folder / f"{name}.onnx", dict.fromkeys(FEATURES, 0.1 * (number + 1)))
    names = [f"flight_delay_{number:03}" for number in range(count)]
    deployments = [_declare(place, name, number) for number, name in enumerate(names)]
    with psycopg.connect(place.uri(LEDGER)) as session:
        year.fill(session, deployments[0], days=days, slices=10)
        for deployment in deployments[1:]:
            _copy(session, deployment)
        session.commit()
        session.autocommit = True
        session.execute("VACUUM ANALYZE")
    return names


def _declare(place: Place, name: str, number: int) -> Deployment:
    content = yaml.safe_load(EXAMPLE)
    better, worse = ({"name": each, "model": f"onnx:{place.folder}/{each}.onnx"} for each in ("better", "worse"))
    content |= {
        "name": name,
        "owner": f"Team {number % 7}",
        "slices": ["carrier"],
        "sample": {"rate": 0.5},
        "challengers": [better, worse, {"name": "a_a_check", "model": "champion"}],
        "expectations": {},
    }
    for rule in content["policy"]["rules"]:
        rule.pop("slices", None)
    path = place.folder / "deployments" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return load_deployment(path)


def _copy(session: "psycopg.Connection[Any]", deployment: Deployment) -> None:
    """Enter what list and fingerprint read of the ledger's first deployment once more, under another name."""
    to = snapshots.deployment_id(session, deployment)
    ((of,),) = session.execute("SELECT min(id) FROM shadow.deployment").fetchall()
    for statement in COPIES:
        session.execute(statement, {"to": to, "of": of, "design": digest(design(deployment))})
