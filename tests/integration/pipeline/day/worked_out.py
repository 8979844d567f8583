"""The synthetic days, and what numpy and pandas work out of them."""

import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import psycopg
from rich.console import Console

from shadow_deployment.data.db import connect
from shadow_deployment.decision.words.finding import Verdict
from shadow_deployment.ledger import predictions
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline.challengers.judging import judge_challenger
from shadow_deployment.pipeline.run import run_days
from tests import production
from tests.production import MATURITY, World, day, linear_model, moment

RUN = 5  # the days that the shared world has run; production has more
RATE, RATES, MINIMUM = 0.5, {"JFK": 0.8}, 8
SALT = "synthetic"
WEIGHTS = {"dep_hour": 0.1, "distance": -0.0005}
LENIENT = {"burn_in": 2, "rules": [{"metric": "error_rate", "is": "at_most", "value": 0.5}]}
OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
SUMS = [
    "weight",
    "weight_squares",
    "champion_sum",
    "champion_squares",
    "challenger_sum",
    "challenger_squares",
    "difference_sum",
    "difference_squares",
    "difference_sum_weighted",
    "difference_squares_weighted",
]
COUNTS = ["requests", "labelled", "unanswered", "champion_missing", "pairs", "identical"]


def settings(world: World, **changes: Any) -> dict[str, Any]:
    """The deployment of the shared world."""
    model = world.folder / "linear.onnx"
    if not model.exists():
        linear_model(model, WEIGHTS)
    return {
        "sample": {
            "rate": RATE,
            "rates": RATES,
            "strata": ["origin"],
            "minimum_per_stratum": MINIMUM,
            "salt": SALT,
            "shard_rows": 25,
        },
        "challengers": [
            OTHER,
            {"name": "linear", "model": f"onnx:{model}"},
            {"name": "same", "model": "logged:flights.prediction_log.champion_probability"},
            {"name": "a_a_check", "model": "champion"},
        ],
        **changes,
    }


def run(world: World, numbers: Sequence[int], **changes: Any) -> list[Exception]:
    """Run days by number, with the shared deployment unless some of it is changed."""
    shadow = world.shadow(**settings(world, **changes))
    return list(run_days(shadow, [day(number) for number in numbers], Console(file=io.StringIO())))


def verdict_of(world: World, challenger: str, number: int, **changes: Any) -> Verdict:
    """Judge on what is there, without writing it down."""
    deployment = world.deploy(**settings(world, **changes))
    world.register_before_the_first_day(deployment)
    with connect(world.connection("shadow_db")) as session:
        one = deployment.challenger(challenger)
        key = predictions.challenger_id(session, deployment, one, model_digest(one))
        return judge_challenger(session, deployment, one, key, day(number)).verdict


def log_of(world: World) -> pd.DataFrame:
    return frame(world, "SELECT * FROM flights.prediction_log ORDER BY request_id")


def frame(world: World, statement: str) -> pd.DataFrame:
    with psycopg.connect(world.postgres.uri(world.production, production.OWNER)) as session:
        cursor = session.execute(statement)
        return pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description or ()])


def drawn(log: pd.DataFrame, number: int) -> pd.DataFrame:
    """Return a day's sample, drawn anew: in each stratum the requests with the smallest SHA-256 of salt:id."""
    requests = log[(log.predicted_at >= moment(number)) & (log.predicted_at < moment(number + 1))].copy()
    requests["hash"] = [hashlib.sha256(f"{SALT}:{key}".encode()).hexdigest()[:13] for key in requests.request_id]
    parts = []
    for origin, stratum in requests.groupby("origin"):
        size = min(len(stratum), max(math.ceil(RATES.get(str(origin), RATE) * len(stratum)), MINIMUM))
        parts.append(stratum.sort_values("hash").head(size).assign(weight=len(stratum) / size))
    return pd.concat(parts)


def known_labels(world: World, number: int, cutoff: float) -> dict[str, float]:
    """Return the labels of a day's requests that were known at the cutoff and within maturity, worked out anew."""
    outcome = frame(world, "SELECT * FROM flights.outcome")
    until = min(moment(cutoff), moment(number + 1 + MATURITY))
    return dict(outcome[outcome.known_at <= until][["request_id", "is_late"]].itertuples(index=False, name=None))


def paired(world: World, number: int, challenger: str) -> pd.DataFrame:
    """Return the day's sample with weight, champion, challenger and label; what is missing is NaN."""
    rows = drawn(log_of(world), number)
    rows["champion"] = rows.champion_probability.astype(float)
    if challenger == "other":
        rows["challenger"] = rows.other_probability.astype(float)
    elif challenger == "linear":
        score = sum(weight * rows[name] for name, weight in WEIGHTS.items())
        rows["challenger"] = (1 / (1 + np.exp(-score))).astype(float)
    else:
        rows["challenger"] = rows.champion
    rows["label"] = rows.request_id.map(known_labels(world, number, RUN)).astype(float)
    return rows


def scored(rows: pd.DataFrame, metric: str, largest: float) -> pd.DataFrame:
    """Add the values of a metric, missing ones charged, and the difference of losses, positive where it is better.

    `largest` is the largest log loss of either model on the day.
    """
    p, q, y = rows.champion, rows.challenger, rows.label
    tiny, worst = np.finfo(float).eps, {"brier_score": 1.0, "log_loss": largest}
    if metric == "brier_score":
        champion, challenger = (p - y) ** 2, (q - y) ** 2
    elif metric == "log_loss":
        champion, challenger = (
            -np.log(np.where(y.isna(), np.nan, np.where(y == 1, x.clip(tiny, 1 - tiny), 1 - x.clip(tiny, 1 - tiny))))
            for x in (p, q)
        )
    elif metric == "error_rate":
        champion, challenger = p.isna().astype(float), q.isna().astype(float)
    else:
        agree = ((p >= 0.5) == (q >= 0.5)).astype(float)
        champion, challenger = pd.Series(1.0, rows.index), agree.where(p.notna()).where(q.notna() | p.isna(), 0.0)
    sign = -1 if metric == "agreement" else 1
    known = y.notna() if metric in ("brier_score", "log_loss") else pd.Series(True, rows.index)
    if metric in ("brier_score", "log_loss"):
        champion, challenger = (pd.Series(values, rows.index) for values in (champion, challenger))
        challenger = challenger.where(q.notna() | ~known, worst[metric])
        champion = champion.where(p.notna() | ~known, challenger)
    rows = rows.assign(a=champion, b=challenger)
    rows = rows.assign(unanswered=q.isna() & p.notna() & known, champion_missing=p.isna() & known)
    return rows.assign(d=sign * (rows.a - rows.b), pair=rows.a.notna() & rows.b.notna())


def summed(rows: pd.DataFrame) -> dict[str, float]:
    """Return what a row of evidence holds."""
    pairs = rows[rows.pair]
    w, a, b, d = pairs.weight, pairs.a, pairs.b, pairs.d
    values = [w, w**2, w * a, w * a**2, w * b, w * b**2, w * d, w * d**2, w**2 * d, w**2 * d**2]
    return {
        "requests": len(rows),
        "labelled": int(rows.label.notna().sum()),
        "unanswered": int(rows.unanswered.sum()),
        "champion_missing": int(rows.champion_missing.sum()),
        "pairs": len(pairs),
        "identical": int(pairs.champion.eq(pairs.challenger).sum()),
        **dict(zip(SUMS, (float(value.sum()) for value in values), strict=True)),
    }


def slices(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    yield "all", "", rows
    for column in ("origin", "carrier"):
        values = rows[column].fillna("(null)")
        for value in sorted(values.unique()):
            yield column, value, rows[values == value]


def largest_log_loss(rows: pd.DataFrame) -> float:
    known = scored(rows, "log_loss", np.nan)
    return float(np.nanmax([known.a, known.b]))
