"""The doctor, run on the deployment of a world."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Invoke


@pytest.fixture
def examined(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, dict[str, Any]]]:
    """Run the doctor; return its checks by what they are of, and require that the exit code says the same."""
    for name in ("AIRFLOW_HOME", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"):
        monkeypatch.delenv(name, raising=False)  # another test may have made Airflow's database, without a pool

    def call(*arguments: object) -> dict[str, dict[str, Any]]:
        code, out, err = invoke("doctor", "late", "--json", *arguments)
        checks = json.loads(out)
        assert code == (1 if any(check["state"] == "failed" for check in checks) else 0), err
        assert all(bool(check["remedy"]) == (check["state"] in ("failed", "warning")) for check in checks)
        assert "Traceback" not in out
        return {check["what"]: check for check in checks}

    return call


def failed(checks: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: check["result"] for name, check in checks.items() if check["state"] == "failed"}
