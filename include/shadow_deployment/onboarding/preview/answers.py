"""What each challenger says of the previewed requests, scored as the step `score` does."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.model import REMOTE
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import ShadowError
from shadow_deployment.models.loading import load
from shadow_deployment.onboarding.preview.days import PreviewedDay
from shadow_deployment.pipeline.challengers import scoring
from shadow_deployment.pipeline.challengers.own_features import looked_up

SHOWN: Final = 3  # rows


@dataclass(frozen=True, eq=False)
class ModelAnswers:
    """A challenger's predictions, a table as `scoring.score` yields for each day; of some models only SHOWN rows.

    `problem` says why there are none. `milliseconds` are those of a row.
    """

    name: str
    model: str
    is_remote: bool
    tables: Sequence[pa.Table] = ()
    problem: str | None = None
    milliseconds: float | None = None
    errors: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many rows were shown to it."""
        return sum(table.num_rows for table in self.tables)


def answers_of(context: DeploymentContext, challenger: Challenger, days: Sequence[PreviewedDay]) -> ModelAnswers:
    """Score the requests of all days; only SHOWN where calls cost money, or where these already fail."""
    is_remote = challenger.kind in REMOTE
    parts = [day.requests for day in days]
    first = [parts[0].slice(0, SHOWN)]
    began = time.monotonic()
    try:
        with _without_warnings():
            tables = _score(context, challenger, days[:1], first)
            errors = _errors(tables)
            if not is_remote and sum(errors.values()) < first[0].num_rows:
                began = time.monotonic()
                tables = _score(context, challenger, days, parts)
    except ShadowError as error:
        return ModelAnswers(challenger.name, challenger.model, is_remote, problem=str(error))
    seconds, rows = time.monotonic() - began, sum(table.num_rows for table in tables)
    return ModelAnswers(
        challenger.name,
        challenger.model,
        is_remote,
        tables,
        milliseconds=1000 * seconds / max(rows, 1),
        errors=_errors(tables),
    )


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Leave out the warning that scoring logs of each row: what fails is in the result."""
    before, scoring.logger.disabled = scoring.logger.disabled, True
    try:
        yield
    finally:
        scoring.logger.disabled = before


def _score(
    context: DeploymentContext, challenger: Challenger, days: Sequence[PreviewedDay], parts: Sequence[pa.Table]
) -> list[pa.Table]:
    """Return a table of predictions a day; what is logged is looked up day by day, any other model loaded once."""
    deployment = context.deployment
    features, classes = deployment.seen_by(challenger).requests.features, len(deployment.classes)
    predictor: Any = None
    tables = []
    for day, part in zip(days, parts, strict=True):
        if predictor is None or challenger.kind == "logged":
            predictor = load(context, challenger, day.window)
        requests = looked_up(context, challenger, part)
        tables.append(scoring.score_table(predictor, requests, features, classes=classes))
    return tables


def _errors(tables: Sequence[pa.Table]) -> dict[str, int]:
    """Return how many rows have each error."""
    counts: dict[str, int] = {}
    for table in tables:
        for text in table["error"].drop_null().to_pylist():
            counts[text] = counts.get(text, 0) + 1
    return counts


def numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Return a column of numbers, NaN where it is null."""
    return np.asarray(column.cast(pa.float64()).to_numpy())
