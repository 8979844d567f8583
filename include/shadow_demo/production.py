"""The demo's production follows the registry: whom the view `shadow.champion` names answers from the next day on.

Flights of days that are still to come have a champion's prediction in the log already, since all of 2013 was loaded at
once; those after the newest sampled day are answered anew.
"""

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from shadow_demo import flights, train

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd

OWNER_VARIABLE = "DEMO_PRODUCTION"  # the address of production's owner, for the DAG that follows
_CHAMPION = "SELECT name, version FROM shadow.champion WHERE deployment = %s"
_NEWEST = (
    "SELECT max(window_end) FROM shadow.snapshot AS s JOIN shadow.deployment AS d ON d.id = s.deployment_id "
    "WHERE d.name = %s"
)
_ANSWER = """
UPDATE flights.prediction_log AS l SET champion_probability = n.probability, model_version = n.version
FROM answered AS n WHERE n.request_id = l.request_id
"""


@dataclass(frozen=True)
class Served:
    """What production serves: `version` as it logs it, of the model's `file`, since a moment; how many requests."""

    version: str
    file: str
    since: "dt.datetime"
    requests: int


def follow(production: str, ledger: str, deployment: str, models: Path = train.MODELS) -> Served | None:
    """Let the champion answer all requests after the newest sampled day; None where no day was sampled.

    Args:
        production: Address of production's owner.
        ledger: Address of the ledger.
        deployment: The deployment's name.
        models: Folder of the models; a champion `name` without a file `name.onnx` there is the first champion.

    Raises:
        FileNotFoundError: A model or a file of flights is missing.
    """
    with psycopg.connect(ledger) as session:
        champion = session.execute(_CHAMPION, [deployment]).fetchone()
        (since,) = session.execute(_NEWEST, [deployment]).fetchone() or (None,)
    if since is None:
        return None
    version, file = _model(champion, models)
    table = flights.requests()
    table = table[table["predicted_at"] >= since]
    with psycopg.connect(production) as session:
        _answer(session, table["request_id"], flights.score(models / file, table), version)
    return Served(version, file, since, len(table))


def _model(champion: tuple[str, str] | None, models: Path) -> tuple[str, str]:
    """Return how production logs a champion, and its file; before the first promotion, and back from it, the first."""
    if champion is not None and (models / f"{champion[0]}.onnx").is_file() and champion[0] != "champion":
        name, version = champion
        return f"{name}@{version}", f"{name}.onnx"
    return flights.CHAMPION_VERSION, flights.CHAMPION


def _answer(session: psycopg.Connection[Any], ids: "pd.Series", probabilities: Any, version: str) -> None:
    import pandas as pd

    rows = io.StringIO()
    pd.DataFrame({"request_id": ids, "probability": probabilities, "version": version}).to_csv(rows, index=False)
    session.execute(
        "CREATE TEMPORARY TABLE answered (request_id text, probability float8, version text) ON COMMIT DROP"
    )
    with session.cursor() as cursor, cursor.copy("COPY answered FROM STDIN (FORMAT csv, HEADER true)") as copy:
        copy.write(rows.getvalue())
    session.execute(_ANSWER)


def main(deployment: str) -> str:
    """Follow by the addresses in the environment; return in words what production serves."""
    served = follow(os.environ[OWNER_VARIABLE], os.environ["AIRFLOW_CONN_SHADOW_DB"], deployment)
    if served is None:
        return "no day was sampled yet: production goes on as it is"
    return f"production serves {served.version} from {served.since:%Y-%m-%d} on, {served.requests:,} requests"
