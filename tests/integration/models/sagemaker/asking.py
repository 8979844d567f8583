"""Models on SageMaker, how they are asked, and clients of AWS that are made once."""

import itertools
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.errors import ModelError, ShadowError
from shadow_deployment.integrations import s3_storage, sagemaker
from shadow_deployment.integrations.sagemaker import open_sagemaker
from tests.builders import a_deployment
from tests.integration.models.aws_server import Rows
from tests.production import World
from tests.unit.models.test_onnx import batch

FEATURES = ["dep_hour", "distance"]
WEIGHTS = {"dep_hour": 0.05, "distance": -0.0004}
_numbers = itertools.count(1)
_clients: dict[Any, Any] = {}
_make, _make_s3 = sagemaker.client_for, s3_storage.client


def logistic(rows: Rows) -> tuple[str, str]:
    """Answer as the ONNX model of the same weights does."""
    totals = [sum(w * float(x) for w, x in zip(WEIGHTS.values(), row, strict=True)) for row in rows]
    return "text/csv; charset=utf-8", "".join(f"{1 / (1 + math.exp(-total))!r}\n" for total in totals)


def client_for(service: str, model: Challenger, **patience: Any) -> Any:
    """Return the client that was made for the same connection before: to make one takes long."""
    declared = os.environ.get(f"AIRFLOW_CONN_{(model.conn_id or '').upper()}")
    key = (service, model.conn_id, declared, str(patience))
    if declared is None or key not in _clients:
        _clients[key] = _make(service, model, **patience)
    return _clients[key]


def client_for_s3(service: str, conn_id: str | None) -> Any:
    """Return S3's, likewise."""
    key = (service, os.environ.get(f"AIRFLOW_CONN_{(conn_id or '').upper()}"))
    if key not in _clients:
        _clients[key] = _make_s3(service, conn_id)
    return _clients[key]


def predictor(
    address: str = "late", deployment: Deployment | None = None, conn_id: str | None = "models_aws", **limits: Any
) -> Any:
    model = Challenger(name="served", model=f"sagemaker:{address}", conn_id=conn_id, limits=limits or None)
    return open_sagemaker(model, deployment or a_deployment())


def flights(rows: int = 10) -> pa.RecordBatch:
    random = np.random.default_rng(rows)
    return batch(dep_hour=random.integers(5, 23, rows).astype(float), distance=random.normal(900, 400, rows))


def refusal(call: Callable[[], object], kind: type[ShadowError] = ModelError) -> str:
    with pytest.raises(kind) as caught:
        call()
    return str(caught.value)


def evidence_of(world: World, name: str) -> Any:
    evidence = world.evidence()
    return evidence[evidence["challenger"] == name].drop(columns=["challenger", "digest"]).reset_index(drop=True)


def require_same_evidence(world: World) -> None:
    filed, served = evidence_of(world, "filed"), evidence_of(world, "served")
    numbers = filed.select_dtypes("number").columns
    assert len(filed) == len(served) > 10
    assert_allclose(served[numbers].to_numpy(float), filed[numbers].to_numpy(float), rtol=0, atol=1e-6)
