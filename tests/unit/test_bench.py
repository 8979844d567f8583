"""The benches' arithmetic: ratios, goals, the table, and that a process of its own is measured. Nothing is timed."""

import importlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.bench import __main__ as runner
from tests.bench.apart import Work, alternating
from tests.bench.table import Row, machine, markdown_of, table_of


def waste(megabytes: int, value: int) -> dict[str, int]:
    """Take memory for a moment."""
    block = bytearray(megabytes << 20)
    return {"value": value + len(block) * 0}


def fail() -> None:
    """Fail."""
    raise RuntimeError("this work cannot be done")


@pytest.mark.parametrize("name", [name for name in runner.BENCHES if name != "isolation"])
def test_every_bench_has_a_full_and_a_quick_size_and_makes_rows_of_what_it_finds(name: str) -> None:
    bench = importlib.import_module(f"tests.bench.{name}")
    assert list(bench.SIZES) == ["full", "quick"]
    assert callable(bench.measure)
    assert callable(bench.rows)
    assert bench.TITLE


@pytest.mark.parametrize(
    ("goal", "met", "ratio", "words"),
    [
        ({"theirs": 4.0, "at_most": 1.5}, True, 1.5, "at most 1.5 times"),
        ({"theirs": 4.0, "at_most": 1.49}, False, 1.5, "at most 1.49 times"),
        ({"theirs": 180.0, "at_least": 30}, True, 30.0, "at least 30 times"),
        ({"theirs": 179.0, "at_least": 30}, False, 179 / 6, "at least 30 times"),
        ({"at_most": 6.0}, True, None, "at most 6 s"),
        ({"at_most": 5.9}, False, None, "at most 5.9 s"),
        ({"theirs": 1.0, "at_most": 6.0, "absolute": True}, True, 6.0, "at most 6 s"),
        ({"theirs": 100.0, "at_most": 5.0, "absolute": True}, False, 0.06, "at most 5 s"),
        ({"theirs": 0.0, "at_most": 2.0}, False, float("inf"), "at most 2 times"),
        ({"theirs": 3.0}, None, 2.0, ""),
    ],
)
def test_a_goal_is_met_at_its_limit_and_not_beyond_it(
    goal: dict[str, Any], met: bool | None, ratio: float | None, words: str
) -> None:
    row = Row("bench", "what", "size", 6.0, **goal)
    assert (row.met, row.goal) == (met, words)
    assert row.ratio == (None if ratio is None else pytest.approx(ratio))
    assert row.content()["met"] == met


def test_the_table_names_a_bench_once_and_says_what_is_missed() -> None:
    rows = [
        Row("judging", "five verdicts", "a year", 1.25, beside="ADBC", theirs=0.5, at_most=1.0, absolute=True),
        Row("judging", "peak memory", "a year", 145.2, unit="MB"),
        Row("parsing", "dags/", "100", 0.42, at_most=3.0),
    ]
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(table_of(rows, "a machine"))
    text = console.export_text()
    assert text.count("judging") == 1
    assert "1.25 s" in text
    assert "2.50" in text
    assert "NO" in text
    assert "145 MB" in text
    assert markdown_of(rows).splitlines()[-1] == "| parsing | dags/ | 100 | 0.42 s |  |  |  | at most 3 s | yes |"


def test_work_is_done_in_a_process_of_its_own_whose_memory_is_its_own() -> None:
    ballast = bytearray(300 << 20)  # of this process: it must not count
    small, large = alternating(
        [Work(waste, {"megabytes": 1, "value": 3}), Work(waste, {"megabytes": 150, "value": 4})], 1
    )
    assert ballast[0] == 0
    assert (small.result, large.result) == ({"value": 3}, {"value": 4})
    assert large.peak_mb - small.peak_mb == pytest.approx(149, abs=15)
    assert small.peak_mb < 300


def test_work_that_fails_fails_the_bench() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        Work(fail, {}).measure()


def test_the_runner_goes_on_after_a_bench_that_fails_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(name: str, size: str, rows: int | None) -> tuple[Any, list[Row]]:
        if name == "parsing":
            raise RuntimeError("no Airflow here")
        return {"size": size}, [Row(name, "what", size, 1.0, at_most=2.0)]

    monkeypatch.setattr(runner, "_run", run)
    file = tmp_path / "deep" / "bench.json"
    assert runner.main(["parsing", "growth", "--quick", "--json", str(file)]) == 1
    content = json.loads(file.read_text())
    assert content["found"] == {"growth": {"size": "quick"}}
    assert [row["bench"] for row in content["rows"]] == ["growth"]
    assert "parsing failed: RuntimeError: no Airflow here" in capsys.readouterr().err
    assert runner.main(["growth", "--json", str(file)]) == 0


def test_a_machine_is_described() -> None:
    found = machine("PostgreSQL 18")
    assert set(found) == {"processor", "cores", "memory", "system", "python", "postgres", "date"}
    assert all(found.values())
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
