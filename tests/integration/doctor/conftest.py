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
        found = json.loads(out)
        assert code == (1 if any(one["state"] == "failed" for one in found) else 0), err
        assert all(bool(one["remedy"]) == (one["state"] in ("failed", "warning")) for one in found)
        assert "Traceback" not in out
        return {one["what"]: one for one in found}

    return call


def failed(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: one["result"] for name, one in found.items() if one["state"] == "failed"}
