"""A server of the Open Inference Protocol, and how it is asked."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.model import Limits
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.predictor import Predictions
from shadow_deployment.errors import ShadowError
from shadow_deployment.models.remote.calls import RetryLimits
from shadow_deployment.models.remote.endpoint import EndpointPredictor
from shadow_deployment.pipeline.challengers.scoring import score
from tests.integration.models.inference_server import Server
from tests.unit.models.test_onnx import batch

FEATURES = ["dep_hour", "distance"]

SECRET = "neverToBeSeenInAnyText"

QUICK = RetryLimits(attempts=3, seconds=1.0, first=0.01, longest=0.02)


def predictor(
    server: Server, connection: Connection | None = None, *, suffix: str = "", classes: int = 0, **changes: Any
) -> EndpointPredictor:
    limits = Limits(**changes.pop("limits", {}))
    model = Challenger(name="served", model=server.model + suffix, limits=limits, **changes)
    return EndpointPredictor(model, connection, changes.get("features", FEATURES), classes=classes)


def flights(rows: int = 10) -> pa.RecordBatch:
    random = np.random.default_rng(rows)
    return batch(dep_hour=random.integers(5, 23, rows).astype(float), distance=random.normal(900, 400, rows))


def refusal(call: Callable[[], object], kind: type[ShadowError]) -> str:
    with pytest.raises(kind) as caught:
        call()
    assert SECRET not in str(caught.value)
    return str(caught.value)


def scored_by(predictor: Any, xs: list[float]) -> pa.Table:
    """Return what scoring makes of a predictor's answers."""
    file = io.BytesIO()
    pq.write_table(pa.table({"x": xs}), file)
    return pa.concat_tables(score(predictor, pq.ParquetFile(file), 0, ["x"]))


def answered(answers: Predictions) -> list[int]:
    assert set(np.flatnonzero(np.isnan(answers.values))) == set(answers.errors)
    return sorted(set(range(len(answers.values))) - set(answers.errors))


class _Renamed:
    """Scores rows whose one number is x."""

    def __init__(self, predictor: EndpointPredictor) -> None:
        self._one = predictor

    def predict(self, rows: pa.RecordBatch) -> Predictions:
        return self._one.predict(pa.record_batch(dict.fromkeys(FEATURES, rows["x"])))
