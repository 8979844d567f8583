"""Production in Parquet files: what cannot be read or does not fit is named with its file, before anything is kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.conftest import Invoke, declare
from tests.parquet import encoded
from tests.production import World, day, moment

NOON = [moment(0.5 + number / 1000) for number in range(6)]
PARTITION = f"log/{day(0)}"


def log(**changes: Any) -> bytes:
    """Return six requests of a day as a file; a change of None leaves a column out."""
    columns: dict[str, Any] = {
        "id": [f"r{number}" for number in range(6)],
        "at": pa.array(NOON, pa.timestamp("us", "UTC")),
        "x": [float(number) for number in range(6)],
        "p": [0.5] * 6,
        "q": [0.4] * 6,
        **changes,
    }
    return encoded(pa.table({name: values for name, values in columns.items() if values is not None}))


def outcome(**changes: Any) -> bytes:
    """Return their labels as a file."""
    columns: dict[str, Any] = {
        "id": [f"r{number}" for number in range(6)],
        "y": [number % 2 for number in range(6)],
        "known_at": pa.array(NOON, pa.timestamp("us", "UTC")),
        **changes,
    }
    return encoded(pa.table({name: values for name, values in columns.items() if values is not None}))


GOOD = log()
LABELS = outcome()
Files = dict[str, bytes]

WRONG: dict[str, tuple[Files, str]] = {
    "a file of text": ({f"{PARTITION}/b.parquet": b"id,at,x,p\n"}, "b.parquet"),
    "a file of nothing": ({f"{PARTITION}/b.parquet": b""}, "b.parquet"),
    "a file of four bytes": ({f"{PARTITION}/b.parquet": b"PAR1"}, "b.parquet"),
    "a file of the two marks alone": ({f"{PARTITION}/b.parquet": b"PAR1PAR1"}, "b.parquet"),
    "a file of zeros": ({f"{PARTITION}/b.parquet": bytes(4096)}, "b.parquet"),
    "a file that is cut off": ({f"{PARTITION}/b.parquet": GOOD[: len(GOOD) // 2]}, "b.parquet"),
    "a file without its footer": ({f"{PARTITION}/b.parquet": GOOD[:-8]}, "b.parquet"),
    "a footer of another length": ({f"{PARTITION}/b.parquet": GOOD[:-8] + b"\xff\xff\xff\x7fPAR1"}, "b.parquet"),
    "a footer of another file": ({f"{PARTITION}/b.parquet": LABELS[:200] + GOOD[-400:]}, "b.parquet"),
    "a file of JSON": ({f"{PARTITION}/b.parquet": b'{"id": "r0"}'}, "b.parquet"),
    "a file in another format of Arrow": ({f"{PARTITION}/b.parquet": b"ARROW1\x00\x00" + bytes(64)}, "b.parquet"),
    "no file at all": ({f"{PARTITION}/a.parquet": b"-"}, "must match files: there are none on any day"),
    "a file that is another's": ({f"{PARTITION}/a.parquet": LABELS}, "requests.time == 'at', must be a column of"),
    "an id that is missing": ({f"{PARTITION}/a.parquet": log(id=None)}, "requests.id == 'id', must be a column of"),
    "an id in capitals": (
        {f"{PARTITION}/a.parquet": log(id=None, ID=["a"] * 6)},
        "requests.id == 'id', must be a column of",
    ),
    "an id that is a fraction": (
        {f"{PARTITION}/a.parquet": log(id=[0.5] * 6)},
        "requests.id == 'id' is of type double, must be text, a whole number or a UUID",
    ),
    "an id that is bytes": (
        {f"{PARTITION}/a.parquet": log(id=[b"\xff"] * 6)},
        "requests.id == 'id' is of type blob, must be text, a whole number or a UUID",
    ),
    "a time that is text": (
        {f"{PARTITION}/a.parquet": log(at=[str(at) for at in NOON])},
        "requests.time == 'at' is of type varchar, must be timestamptz, timestamp or date",
    ),
    "a time that is milliseconds": (
        {f"{PARTITION}/a.parquet": log(at=[1_709_294_400_000] * 6)},
        "requests.time == 'at' is of type bigint, must be timestamptz, timestamp or date",
    ),
    "a time of day": (
        {f"{PARTITION}/a.parquet": log(at=pa.array([0] * 6, pa.time64("us")))},
        "requests.time == 'at' is of type time, must be timestamptz, timestamp or date",
    ),
    "a list of times": (
        {f"{PARTITION}/a.parquet": log(at=pa.array([[at] for at in NOON]))},
        "requests.time == 'at' is of type timestamp with time zone[], must be timestamptz",
    ),
    "a prediction that is text": (
        {f"{PARTITION}/a.parquet": log(p=["0.5"] * 6)},
        "requests.prediction == 'p' is of type varchar, must be a number or boolean",
    ),
    "a prediction in a list": (
        {f"{PARTITION}/a.parquet": log(p=[[0.5]] * 6)},
        "requests.prediction == 'p' is of type double[], must be a number or boolean",
    ),
    "a feature that is missing": (
        {f"{PARTITION}/a.parquet": log(x=None)},
        "requests.features == 'x', must be a column",
    ),
    "a feature that is a struct": (
        {f"{PARTITION}/a.parquet": log(x=[{"a": 1}] * 6)},
        "column 'x' is of type struct(a bigint), must be a number, boolean, text or time",
    ),
    "a feature that is a map": (
        {f"{PARTITION}/a.parquet": log(x=pa.array([[("a", 1)]] * 6, pa.map_(pa.string(), pa.int64())))},
        "column 'x' is of type map(varchar, bigint), must be a number, boolean, text or time",
    ),
    "a feature of two names": (
        {f"{PARTITION}/a.parquet": log(X=[1.0] * 6)},
        "requests.features == 'x', must differ from other columns in more than capitals",
    ),
    "two files of other columns": (
        {f"{PARTITION}/b.parquet": log(x=None)},
        "requests.features == 'x', must be a column of every file",
    ),
    "two files of other types": (
        {f"{PARTITION}/b.parquet": log(x=["1"] * 6)},
        "requests.features == 'x', must be of one kind in all files",
    ),
    "two files of other ids": (
        {f"{PARTITION}/b.parquet": log(id=[1] * 6)},
        "requests.id == 'id', must be of one kind in all files",
    ),
    "answers that were not logged": ({f"{PARTITION}/a.parquet": log(q=None)}, "model == 'q', must be a column of"),
    "answers that are text": ({f"{PARTITION}/a.parquet": log(q=["a"] * 6)}, "model == 'q' is of type varchar, must be"),
    "labels of text": ({"labels.parquet": b"id,y\n"}, "labels.parquet"),
    "no labels at all": ({"labels.parquet": b"-"}, "labels.table == "),
    "labels without an id": ({"labels.parquet": outcome(id=None)}, "labels.id == 'id', must be a column of"),
    "labels that are text": (
        {"labels.parquet": outcome(y=["late"] * 6)},
        "labels.value == 'y' is of type varchar, must be a number or boolean",
    ),
    "labels that became known at no time": (
        {"labels.parquet": outcome(known_at=None)},
        "labels.time == 'known_at', must be a column of",
    ),
    "labels that became known in text": (
        {"labels.parquet": outcome(known_at=["soon"] * 6)},
        "labels.time == 'known_at' is of type varchar, must be timestamptz, timestamp or date",
    ),
}


@pytest.fixture(scope="module")
def untouched(worlds: Callable[..., World]) -> World:
    """A world in whose ledger nothing is ever written: each test here ends before."""
    return worlds()


@pytest.fixture
def deployed(untouched: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Files], World]:
    """Write files beside those that are good, or in their place, and the deployment that reads them."""

    def make(files: Files) -> World:
        for name, content in {f"{PARTITION}/a.parquet": GOOD, "labels.parquet": LABELS, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content != b"-":  # no such file
                path.write_bytes(content)
        requests = {"conn_id": None, "id": "id", "time": "at", "features": ["x"], "prediction": "p"}
        labels = {"conn_id": None, "id": "id", "value": "y", "time": "known_at"}
        untouched.deploy(
            requests=requests
            | {"table": f"parquet:{tmp_path}/log/{{day}}/*.parquet", "version": None, "latency": None},
            labels=labels | {"table": f"parquet:{tmp_path}/labels.parquet"},
            slices=[],
            challengers=[{"name": "other", "model": "logged:q"}],
            policy={"burn_in": 2, "rules": [{"metric": "brier_score", "is": "superior"}]},
        )
        return declare(untouched, monkeypatch)

    return make


@pytest.mark.parametrize("title", WRONG)
def test_a_file_that_is_of_no_use_is_named_before_anything_is_kept(
    title: str, deployed: Callable[[Files], World], invoke: Invoke
) -> None:
    files, says = WRONG[title]
    world = deployed(files)
    code, out, err = invoke("run", "late", "--from", day(0))
    message = " ".join(err.split())
    assert (code, out) == (1, ""), message
    assert says in message
    assert message.startswith("error ")
    assert "Traceback" not in err
    assert not any(world.dump("alembic_version").values())
    assert not list(world.snapshots.rglob("manifest.json"))
