"""What the tests of models in processes of their own share: a deployment around one model, and a batch."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import environment
from shadow_deployment.data.predictor import Predictor
from shadow_deployment.models.loading import load
from shadow_deployment.pipeline.challengers.scoring import score
from tests.builders import a_deployment
from tests.production import day

FEATURES = ["dep_hour", "distance"]
MISBEHAVING = "python:tests.integration.models.misbehaving:"


def surrounded(model: dict[str, Any], **changes: Any) -> tuple[DeploymentContext, Challenger]:
    """Return a deployment whose only model is this one, and the model."""
    deployment = a_deployment(challengers=[{"name": "one", **model}], **changes)
    return DeploymentContext(deployment, environment), deployment.challengers[0]


def loaded(model: dict[str, Any], **changes: Any) -> Predictor:
    shadow, challenger = surrounded(model, **changes)
    return load(shadow, challenger, window_of(shadow.deployment, day(0)))


def misbehaving(function: str, *, seconds: float = 20.0, memory_mb: int = 1024, **limits: Any) -> Predictor:
    return loaded({"model": MISBEHAVING + function, "limits": {"seconds": seconds, "memory_mb": memory_mb, **limits}})


def batch(hours: Sequence[float], **columns: Any) -> pa.RecordBatch:
    """Return a snapshot's batch with these hours, and a column that is no feature."""
    content = {"request_id": [f"r{row}" for row in range(len(hours))], "dep_hour": np.array(hours, float)}
    return pa.RecordBatch.from_pydict({**content, "distance": np.full(len(hours), 100.0), **columns})


def scored(predictor: Predictor, hours: Sequence[float]) -> tuple[list[float | None], list[str | None]]:
    """Return values and errors as a shard of these hours has them."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_batches([batch(hours)]), file)
    table = pa.concat_tables(score(predictor, pq.ParquetFile(file), 0, FEATURES))
    return table["value"].to_pylist(), table["error"].to_pylist()


def project() -> Path:
    return Path(__file__).resolve().parents[3]
