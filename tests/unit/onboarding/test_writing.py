"""A proposed file: what it says is what YAML reads, and a folder of files becomes a pattern."""

import datetime as dt
from pathlib import Path

import pytest
import yaml

from shadow_deployment.config.partitions import Pattern
from shadow_deployment.onboarding.proposal.writing import MODELINE, Line, yaml_text
from shadow_deployment.onboarding.tables.folders import pattern_of


def test_values_come_back_as_they_were_and_comments_stand_above_them() -> None:
    lines = {
        "start": Line(dt.date(2026, 3, 1), "the first whole day"),
        "labels": Line({"positive": Line("yes", "# no: a comment"), "value": Line("yes: no")}, "Where the truth is."),
        "classes": Line([f"a class with a long name {number}" for number in range(9)], "a word " * 40),
        "challengers": Line([Line({"name": "a", "model": "python:m:f"}, "the first")]),
    }
    text = yaml_text(["A heading."], lines)
    assert yaml.safe_load(text) == {
        "start": dt.date(2026, 3, 1),
        "labels": {"positive": "yes", "value": "yes: no"},
        "classes": [f"a class with a long name {number}" for number in range(9)],
        "challengers": [{"name": "a", "model": "python:m:f"}],
    }
    written = text.splitlines()
    assert written[:2] == [MODELINE, "# A heading."]
    assert written[written.index("start: 2026-03-01") - 1] == "# the first whole day"
    assert written[written.index("  positive: 'yes'") - 1] == "  # # no: a comment"
    assert max(map(len, written)) <= 110


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("dt=2026-03-01/part-0.parquet", "dt={day}/*.parquet"),
        ("2026/03/01/x.parquet", "{day:%Y/%m/%d}/*.parquet"),
        ("year=2026/month=03/day=01/x.parquet", "year={day:%Y}/month={day:%m}/day={day:%d}/*.parquet"),
        ("log_20260301.parquet", "log_{day:%Y%m%d}.parquet"),
        ("2026-03-01.parquet", "{day}.parquet"),
        ("part-0.parquet", "*.parquet"),
        ("eu/part-0.parquet", "**/*.parquet"),
        ("dt=2026-03-01/a.jsonl.gz", "dt={day}/*.jsonl.gz"),
        ("2026-03-01.jsonl", "{day}.jsonl"),
    ],
)
def test_a_folder_becomes_the_pattern_of_its_files(file: str, pattern: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    name = pattern_of(str(tmp_path))
    assert name == f"{'jsonl' if 'jsonl' in pattern else 'parquet'}:{tmp_path}/{pattern}"
    day = dt.date(2026, 3, 1) if "{day" in pattern else None
    assert Pattern.parse(name).matching(day).fullmatch(str(tmp_path / file))


def test_a_table_stays_a_table_and_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert pattern_of("shop.orders") == "shop.orders"
    assert pattern_of("/lake/x.parquet") == "parquet:/lake/x.parquet"
    assert pattern_of("/lake/{day}/x.jsonl.gz") == "jsonl:/lake/{day}/x.jsonl.gz"
    with pytest.raises(ValueError, match=r"a folder with \*\.parquet or"):
        pattern_of(str(tmp_path))
