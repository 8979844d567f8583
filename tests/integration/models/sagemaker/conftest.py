"""SageMaker as a small server on loopback, and that of moto."""

import os
from collections.abc import Iterator

import pytest

from shadow_deployment.integrations import sagemaker
from shadow_deployment.models.remote import calls
from shadow_deployment.models.remote.calls import RetryLimits
from tests import receivers
from tests.integration.models.aws_server import Aws, aws_server
from tests.integration.models.sagemaker.asking import client_for, logistic


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    with aws_server() as aws:
        yield aws


@pytest.fixture
def aws(server: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    monkeypatch.setattr(calls, "RETRY_LIMITS", RetryLimits(attempts=3, seconds=0.2, first=0.01, longest=0.1))
    monkeypatch.setattr(sagemaker, "client_for", client_for)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_CONN_MODELS_AWS", server.connection())
    server.container, server.variant, server.seconds, server.always = logistic, "AllTraffic", 0.0, None
    for kept in (server.refusals, server.bodies, server.asked):
        kept.clear()
    return server


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of SageMaker and S3 in memory."""
    with receivers.aws() as endpoint:
        yield endpoint
