"""A part of the installation that is missing is named, with the command that brings it."""

import builtins
import importlib
import sys
from typing import Any

import pytest

from shadow_deployment.base.extras import MissingExtraError, requires_extra
from shadow_deployment.config.deployment import load_deployment
from shadow_deployment.context import DeploymentContext
from tests.conftest import PROJECT


def test_a_missing_package_names_its_extra_and_what_needs_it() -> None:
    said = r'labels\.table needs the package no_such_engine, .*pip install "shadow-deployment\[duckdb\]"'
    with pytest.raises(MissingExtraError, match=said), requires_extra("duckdb", "labels.table"):
        importlib.import_module("no_such_engine")


def test_a_module_of_ours_that_is_missing_is_a_mistake_of_ours() -> None:
    with pytest.raises(ModuleNotFoundError), requires_extra("duckdb", "labels.table"):
        importlib.import_module("shadow_deployment.no_such_module")


def test_an_error_inside_an_installed_package_is_not_taken_for_a_missing_one() -> None:
    with pytest.raises(ValueError, match="inside"), requires_extra("duckdb", "labels.table"):
        raise ValueError("inside")


def test_requests_in_parquet_without_duckdb_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.partition(".")[0] == "duckdb":
            raise ModuleNotFoundError("No module named 'duckdb'", name="duckdb")
        return real(name, *arguments, **keywords)

    for name in [name for name in sys.modules if ".sources.duckdb" in name and not name.endswith("lake")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    context = DeploymentContext(
        load_deployment(PROJECT / "tests/integration/corpus/good/parquet.yaml"),
        lambda conn_id: pytest.fail(f"{conn_id} was asked for"),
    )
    with pytest.raises(MissingExtraError, match=r"requests\.table == 'parquet:.*\[duckdb\]"):
        _ = context.request_source
