"""What `shadow init` declares of JSON lines, from some of them."""

from pathlib import Path
from typing import Any

import pytest

from shadow_deployment.config.partitions import Pattern
from shadow_deployment.data.sources.duckdb.lake import Folder
from shadow_deployment.errors import SourceError
from shadow_deployment.onboarding.tables.line_types import types_of
from tests.json_lines import compressed, encoded_lines
from tests.parquet import on_disk


def declared(folder: Path, *rows: dict[str, Any]) -> dict[str, str]:
    put = on_disk(folder)
    put("a.jsonl", encoded_lines(rows[:1]) + b"no JSON\n[1]\n")
    put("b.jsonl.gz", compressed(encoded_lines(rows[1:])))
    return types_of(Folder(), list(Folder().find(Pattern.parse(f"jsonl:{folder}/*"))), "requests.table")


def test_a_column_has_the_type_that_all_its_values_have_and_the_last_name_of_its_path(tmp_path: Path) -> None:
    first = {"id": "a", "at": "2026-01-31T12:00:00Z", "day": "2026-01-31", "yes": True, "n": 1, "big": 2**70, "x": 1}
    first |= {"mixed": 1, "never": None, "list": [1], "in": {"age": 3, "a b": {"c": "d"}}, "out": {"age": 0.5}}
    second = {"n": 2, "x": 0.5, "mixed": "1", "at": "2026-01-31 12:00", "day": "soon"}
    assert declared(tmp_path, first, second) == {
        "id": "string",
        "at": "timestamp",
        "day": "string",
        "yes": "boolean",
        "n": "integer",
        "big": "number",
        "x": "number",
        "in_age": "integer $.in.age",
        "c": 'string $.in."a b".c',
        "out_age": "number $.out.age",
    }


def test_formats_of_sagemaker_are_recognised_and_not_taken_apart(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"requests\.table is in a format of SageMaker's: set requests\.format"):
        declared(tmp_path, {"captureData": {"endpointInput": {"data": "1"}}})
