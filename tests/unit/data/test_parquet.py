"""Parquet on disk: which files a window needs, labels, logged answers, and what is said where something is wrong."""

import datetime as dt
import logging
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import environment
from shadow_deployment.data.ports import UNVERSIONED, all_labels
from shadow_deployment.data.sampling import allocate
from shadow_deployment.errors import DeploymentError, SourceError, TransientError
from tests.builders import a_deployment, asked
from tests.parquet import encoded, on_disk

DAY = dt.date(2024, 3, 9)
NOON = dt.datetime(2024, 3, 9, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def log(count: int = 4, at: dt.datetime = NOON, first: int = 0, **changes: Any) -> pa.Table:
    """Return requests a minute apart; a change of None leaves a column out."""
    columns: dict[str, Any] = {
        "request_id": [f"r{first + number}" for number in range(count)],
        "predicted_at": pa.array(
            [at + dt.timedelta(minutes=number) for number in range(count)], pa.timestamp("us", "UTC")
        ),
        "dep_hour": [float(number) for number in range(count)],
        "champion_probability": [0.5] * count,
        "other_probability": [number / 10 for number in range(count)],
        "model_version": ["7"] * count,
        **changes,
    }
    return pa.table({name: values for name, values in columns.items() if values is not None})


def outcome(known_at: list[dt.datetime], **changes: Any) -> pa.Table:
    columns = {
        "request_id": [f"r{number}" for number in range(len(known_at))],
        "is_late": [number % 2 for number in range(len(known_at))],
        "known_at": pa.array(known_at, pa.timestamp("us", "UTC")),
        **changes,
    }
    return pa.table(columns)


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., None]:
    write = on_disk(tmp_path)
    return lambda name, table, **options: write(name, table if isinstance(table, bytes) else encoded(table, **options))


@pytest.fixture
def shadow(tmp_path: Path) -> Callable[..., DeploymentContext]:
    def make(
        log: str = "log/{day}/*.parquet", labels: str = "labels/{day}.parquet", **changes: Any
    ) -> DeploymentContext:
        requests = {"conn_id": None, "table": f"parquet:{tmp_path}/{log}", "features": ["dep_hour"], "latency": None}
        deployment = a_deployment(
            requests=requests | changes.pop("requests", {}),
            labels={"conn_id": None, "table": f"parquet:{tmp_path}/{labels}"} | changes.pop("label_keys", {}),
            sample={"rate": 1.0, "strata": [], "minimum_per_stratum": 0} | changes.pop("sample", {}),
            slices=[],
            challengers=[{"name": "other", "model": "logged:other_probability"}],
            policy={"rules": [{"metric": "brier_score", "is": "superior"}]},
            expectations={},
            **changes,
        )
        return DeploymentContext(deployment, environment)

    return make


def drawn(shadow: DeploymentContext, day: dt.date = DAY) -> list[str]:
    with shadow.request_source.reading(window_of(shadow.deployment, day)) as reading:
        population = reading.population()
        if not population:
            return []
        rows = reading.sample(allocate(shadow.deployment.sample, population)).read_all()
    return sorted(rows["request_id"].to_pylist())


def refusal(call: Callable[[], object], error: type[Exception] = SourceError) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_rows_that_lie_in_the_partition_before_or_after_are_found_and_no_others(put: Any, shadow: Any) -> None:
    put("log/2024-03-07/a.parquet", log(1, first=1))
    put("log/2024-03-08/a.parquet", log(1, first=2))
    put("log/2024-03-08/b.parquet", log(3, at=NOON - 24 * HOUR, first=100))
    put("log/2024-03-09/a.parquet", log(2, first=3))
    put("log/2024-03-10/a.parquet", log(1, at=NOON + 11 * HOUR, first=5))
    put("log/2024-03-11/a.parquet", log(1, first=6))
    assert drawn(shadow()) == ["r2", "r3", "r4", "r5"]


def test_a_window_in_another_time_zone_reads_all_days_that_it_touches(put: Any, shadow: Any) -> None:
    for number in range(-1, 3):
        put(
            f"log/{DAY + dt.timedelta(days=number)}/a.parquet",
            log(24, NOON + 24 * HOUR * number - 12 * HOUR, 24 * number),
        )
    every_hour = [NOON - 12 * HOUR + HOUR * number for number in range(48)]
    times = pa.array(every_hour, pa.timestamp("us", "UTC"))
    for number in (0, 1):
        put(
            f"log/{DAY + dt.timedelta(days=number)}/a.parquet",
            log(24, first=24 * number, predicted_at=times[24 * number :][:24]),
        )
    found = drawn(shadow(timezone="America/New_York"))
    assert found == sorted(f"r{number}" for number in range(5, 29))


def test_another_schema_of_the_day_before_or_after_is_nobodys_business(
    put: Any, shadow: Any, caplog: pytest.LogCaptureFixture
) -> None:
    put("log/2024-03-08/a.parquet", log(2, NOON - 24 * HOUR, dep_hour=None))
    put("log/2024-03-09/a.parquet", log(2))
    put("log/2024-03-10/half.parquet", b"PAR1 half a file")
    with caplog.at_level(logging.WARNING):
        assert drawn(shadow()) == ["r0", "r1"]
    assert "half.parquet of the day before or after is not looked into" in caplog.text


@pytest.mark.parametrize(
    "unit", [pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("ns"), pa.timestamp("ns", "UTC"), pa.date32()]
)
def test_a_time_without_a_zone_is_utc(unit: pa.DataType, put: Any, shadow: Any) -> None:
    midnight = NOON.replace(tzinfo=None) - 12 * HOUR
    moments = [midnight - dt.timedelta(days=1), midnight, midnight + dt.timedelta(days=1)]
    put("log/all.parquet", log(3, predicted_at=pa.array(moments, pa.timestamp("ms")).cast(unit)))
    assert drawn(shadow("log/*.parquet")) == ["r1"]
    late = shadow("log/*.parquet", schedule="30 5 * * *")
    assert drawn(late) == ["r2"]


def test_a_day_without_files_is_empty_where_other_days_have_some(put: Any, shadow: Any) -> None:
    put("log/2024-01-01/a.parquet", log())
    assert drawn(shadow()) == []
    assert shadow().request_source.logged("other_probability", ["r1"], window_of(shadow().deployment, DAY)) == {}


def test_a_pattern_that_matches_nothing_on_any_day_says_what_is_there(put: Any, shadow: Any, tmp_path: Path) -> None:
    put("log/2024-03-09/a.csv", b"a,b")
    for call in (lambda: drawn(shadow()), shadow().check_sources, lambda: shadow().request_source.newest_version(None)):
        message = refusal(call)
        assert f"requests.table == 'parquet:{tmp_path}/log/{{day}}/*.parquet', must match files" in message
        assert f"what is there is {tmp_path}/log/2024-03-09" in message
    arriving = shadow().label_source
    assert "labels.table == " in refusal(lambda: all_labels(arriving, asked({0: "r0"}), None, NOON))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"request_id": None}, "requests.id == 'request_id', must be a column of parquet:"),
        ({"dep_hour": None, "dep_hours": [1.0] * 4}, "did you mean dep_hours"),
        ({"champion_probability": ["high"] * 4}, "'champion_probability' is of type varchar, must be a number"),
        ({"predicted_at": [1.0] * 4}, "'predicted_at' is of type double, must be timestamptz, timestamp or date"),
        ({"request_id": [1.0, 2.0, 3.0, 4.0]}, "'request_id' is of type double, must be text, a whole number"),
        ({"request_id": [b"a"] * 4}, "is of type blob, must be text, a whole number or a UUID"),
        ({"request_id": pa.array([1] * 4, pa.decimal128(5, 0))}, "is of type decimal(5,0), must be text"),
        ({"model_version": [7.0] * 4}, "'model_version' is of type double, must be text, a whole number"),
        ({"dep_hour": [[1.0]] * 4}, "column 'dep_hour' is of type double[], must be a number, boolean, text"),
        ({"dep_hour": [{"a": 1}] * 4}, "column 'dep_hour' is of type struct(a bigint), must be a number"),
        ({"Dep_Hour": [1.0] * 4}, "must differ from other columns in more than capitals"),
    ],
)  # fmt: skip
def test_a_column_that_is_of_no_use_is_named(changes: Any, message: str, put: Any, shadow: Any) -> None:
    put("log/2024-03-09/a.parquet", log(**changes))
    put("labels/2024-03-09.parquet", outcome([NOON]))
    for call in (lambda: drawn(shadow()), shadow().check_sources):
        assert message in refusal(call)


@pytest.mark.parametrize("kind", [pa.float64(), pa.timestamp("us"), pa.decimal128(5, 1)])
def test_a_stratum_whose_text_is_not_the_same_everywhere_is_refused(kind: pa.DataType, put: Any, shadow: Any) -> None:
    put("log/2024-03-09/a.parquet", log(group=pa.array([None] * 4, kind)))
    assert "sample.strata == 'group' is of type" in refusal(lambda: drawn(shadow(sample={"strata": ["group"]})))


def test_files_of_a_day_may_differ_in_what_makes_no_difference(put: Any, shadow: Any) -> None:
    put("log/2024-03-09/a.parquet", log(2, dep_hour=pa.array([1, 2], pa.int16()), beside=["x"] * 2))
    put(
        "log/2024-03-09/b.parquet",
        log(2, first=2, dep_hour=pa.array([1.5, None], pa.float32())).select(range(5, -1, -1)),
    )
    put("log/2024-03-09/c.parquet", log(2, first=4, dep_hour=pa.nulls(2), model_version=pa.nulls(2)))
    assert drawn(shadow()) == [f"r{number}" for number in range(6)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dep_hour": None}, "'dep_hour', must be a column of every file: {path}/b.parquet has request_id"),
        ({"dep_hour": ["5"] * 4}, "it is of type double in {path}/a.parquet and of type varchar in {path}/b"),
        ({"request_id": [1] * 4}, "requests.id == 'request_id', must be of one kind in all files"),
    ],
)  # fmt: skip
def test_files_of_a_day_that_do_not_fit_together_are_named(
    changes: Any, message: str, put: Any, shadow: Any, tmp_path: Path
) -> None:
    put("log/2024-03-09/a.parquet", log())
    put("log/2024-03-09/b.parquet", log(**changes))
    assert message.format(path=tmp_path / "log/2024-03-09") in refusal(lambda: drawn(shadow()))


@pytest.mark.parametrize("damage", ["text", "empty", "footer", "page"])
def test_a_file_that_cannot_be_read_is_named(damage: str, put: Any, shadow: Any, tmp_path: Path) -> None:
    put("log/2024-03-09/a.parquet", log())
    rows = 30_000
    times = pa.array([NOON] * rows, pa.timestamp("us", "UTC"))
    content = bytearray(
        encoded(log(rows, dep_hour=np.random.default_rng(1).random(rows), predicted_at=times), row_group_size=10_000)
    )
    if damage == "page":
        path = tmp_path / "whole.parquet"
        path.write_bytes(content)
        found = pq.read_metadata(path).row_group(2).column(2)
        start = found.dictionary_page_offset or found.data_page_offset
        content[start : start + 64] = b"\xff" * 64
    damaged = {"text": b"no Parquet at all", "empty": b"", "footer": content[:-100], "page": bytes(content)}[damage]
    put("log/2024-03-09/b.parquet", bytes(damaged))
    message = refusal(lambda: drawn(shadow()))
    assert f"{tmp_path}/log/2024-03-09/b.parquet" in message
    assert "requests.table == " in message


@pytest.mark.parametrize("change", ["other", "gone"])
def test_a_file_that_is_changed_while_it_is_read_is_worth_another_try(
    change: str, put: Any, shadow: Any, tmp_path: Path
) -> None:
    put("log/2024-03-09/a.parquet", log())
    path = tmp_path / "log/2024-03-09/a.parquet"

    def read() -> None:
        with shadow().request_source.reading(window_of(shadow().deployment, DAY)) as reading:
            reading.population()
            path.unlink()
            if change == "other":
                path.write_bytes(encoded(log(3)))

    assert f"{path} was changed while it was read" in refusal(read, TransientError)


def test_a_window_ends_before_its_end(put: Any, shadow: Any) -> None:
    """Of many requests at the very end none is counted, and none is drawn in the place of one inside."""
    midnight = NOON + 12 * HOUR
    put("log/2024-03-09/a.parquet", log(20, predicted_at=pa.array([midnight] * 20, pa.timestamp("us", "UTC"))))
    put("log/2024-03-09/b.parquet", log(3, first=20))
    assert drawn(shadow()) == ["r20", "r21", "r22"]
    assert len(drawn(shadow(), DAY + dt.timedelta(days=1))) == 20


def test_the_earliest_of_equal_ids_counts_whatever_stratum_the_others_are_in(put: Any, shadow: Any) -> None:
    put("log/2024-03-09/a.parquet", log(30, NOON, dep_hour=[9.0] * 30, origin=["LGA"] * 30))
    put("log/2024-03-09/b.parquet", log(30, NOON - HOUR, dep_hour=[5.0] * 30, origin=["EWR"] * 30))
    put("log/2024-03-09/c.parquet", log(5, NOON, first=30, dep_hour=[5.0] * 5, origin=["LGA"] * 5))
    once = shadow(requests={"duplicates": "first"}, sample={"strata": ["origin"], "rate": 0.5, "rates": {"LGA": 1.0}})
    with once.request_source.reading(window_of(once.deployment, DAY)) as reading:
        population = reading.population()
        rows = reading.sample(allocate(once.deployment.sample, population)).read_all()
    assert population == {"EWR": 30, "LGA": 5}
    assert set(rows["dep_hour"].to_pylist()) == {5.0}
    assert len(set(rows["request_id"].to_pylist())) == rows.num_rows == 20
    assert len(drawn(shadow())) == 65


def test_logged_answers_are_those_of_the_window_and_the_first_of_each_request(put: Any, shadow: Any) -> None:
    put("log/2024-03-08/a.parquet", log(2, NOON - 24 * HOUR, other_probability=[0.9, 0.9]))
    put("log/2024-03-09/a.parquet", log(3))
    put("log/2024-03-09/b.parquet", log(1, NOON + HOUR, other_probability=[0.8]))
    found = shadow()
    window = window_of(found.deployment, DAY)
    logged = found.request_source.logged("other_probability,dep_hour", ["r0", "r2", "r7"], window)
    assert logged == {"r0": (0.0, 0.0), "r2": (0.2, 2.0)}
    assert "model == 'nothing', must be a column of" in refusal(
        lambda: found.request_source.logged("nothing", [], window)
    )
    assert "must be logged:COLUMN" in refusal(lambda: found.request_source.logged("log.other_probability", [], window))


def labels_of(table: pa.Table) -> list[tuple[int, float, dt.datetime]]:
    return sorted((row["ordinal"], row["value"], row["known_at"]) for row in table.to_pylist())


@pytest.mark.parametrize("place", ["{day}", "all"])
def test_labels_are_those_that_became_known_since(place: str, put: Any, shadow: Any) -> None:
    known = [NOON, NOON + 12 * HOUR, NOON + 24 * HOUR, NOON + 30 * HOUR]
    for number, moment in enumerate(known):
        name = moment.date() if place == "{day}" else f"all-{number}"
        put(f"labels/{name}.parquet", outcome(known)[number : number + 1]) if number != 3 else None
    last = outcome(known)[2:] if place == "{day}" else outcome(known)[3:]
    put(f"labels/{known[3].date() if place == '{day}' else 'all-3'}.parquet", last)
    both = outcome(known)[1:]
    put(f"labels/{known[1].date()}.parquet", both) if place == "{day}" else None
    source = shadow(labels="labels/{day}.parquet" if place == "{day}" else "labels/all-*.parquet").label_source
    requests = {7: "r0", 3: "r1", 5: "r2", 6: "other"}
    found = labels_of(all_labels(source, asked(requests), None, NOON + 24 * HOUR))
    assert found == [(3, 1.0, NOON + 12 * HOUR), (5, 0.0, NOON + 24 * HOUR), (7, 0.0, NOON)]
    assert labels_of(all_labels(source, asked(requests), NOON, NOON + 13 * HOUR)) == [(3, 1.0, NOON + 12 * HOUR)]
    assert labels_of(all_labels(source, asked({1: "r3"}), None, NOON + 24 * HOUR)) == []


def test_a_date_says_that_a_label_was_known_by_the_end_of_that_day(put: Any, shadow: Any) -> None:
    put("labels/2024-03-09.parquet", outcome([NOON]).set_column(2, "known_at", pa.array([NOON.date()])))
    source = shadow().label_source
    midnight = dt.datetime.combine(NOON.date() + dt.timedelta(days=1), dt.time(), dt.UTC)
    assert labels_of(all_labels(source, asked({0: "r0"}), None, midnight)) == [(0, 0.0, midnight)]
    assert labels_of(all_labels(source, asked({0: "r0"}), None, midnight - dt.timedelta(microseconds=1))) == []


@pytest.mark.parametrize(
    ("values", "settings", "numbers", "invalid"),
    [
        ([0, 1, 7], {}, [0.0, 1.0], ["7"]),
        ([0.0, 1.0, math.nan], {}, [0.0, 1.0], ["nan"]),
        (["no", "yes", "maybe"], {"label_keys": {"positive": "yes", "negative": "no"}}, [0.0, 1.0], ["maybe"]),
        (["no", "yes", "maybe"], {"label_keys": {"positive": "yes"}}, [0.0, 1.0, 0.0], []),
        (["no", "yes", "x" * 99], {"label_keys": {"positive": "yes", "negative": "no"}}, [0.0, 1.0], ["x" * 40]),
    ],
)
def test_a_value_that_is_no_label_comes_with_its_text(
    values: list[Any], settings: dict[str, Any], numbers: list[float], invalid: list[str], put: Any, shadow: Any
) -> None:
    put("labels/2024-03-09.parquet", outcome([NOON] * 3, is_late=values))
    source = shadow(**settings).label_source
    found = all_labels(source, asked({0: "r0", 1: "r1", 2: "r2"}), None, NOON).sort_by("ordinal")
    assert [value for value in found["value"].to_pylist() if not math.isnan(value)] == numbers
    assert [text for text in found["invalid"].to_pylist() if text is not None] == invalid


def test_labels_of_whole_numbers_belong_to_requests_of_text(put: Any, shadow: Any) -> None:
    put("labels/2024-03-09.parquet", outcome([NOON, NOON], request_id=[7, 8], is_late=[True, None]))
    source = shadow().label_source
    assert labels_of(all_labels(source, asked({0: "7", 1: "8"}), None, NOON + HOUR)) == [(0, 1.0, NOON)]
    assert "labels.table == " in refusal(lambda: all_labels(source, asked({0: "seven"}), None, NOON + HOUR))


def test_the_newest_version_is_that_of_the_newest_partition(put: Any, shadow: Any) -> None:
    put("log/2024-03-07/a.parquet", log(model_version=["6"] * 4))
    put("log/2024-03-09/a.parquet", log(model_version=["7", "7", "9", "8"]))
    put("log/2024-03-10/not yet.csv", b"")
    source = shadow().request_source
    assert source.newest_version(None) == "8"
    assert source.newest_version(NOON) == "8"
    assert source.newest_version(NOON + HOUR) is None
    assert source.newest_version(NOON + 48 * HOUR) is None
    assert shadow(requests={"version": None}).request_source.newest_version(None) == UNVERSIONED
    today = dt.datetime.now(dt.UTC)
    put(f"log/{today.date()}/a.parquet", log(1, today, model_version=pa.nulls(1, pa.string())))
    assert source.newest_version(NOON) == UNVERSIONED


def test_the_newest_requests_are_those_of_the_newest_partition(put: Any, shadow: Any) -> None:
    put("log/2024-03-07/a.parquet", log(model_version=["6"] * 4))
    put("log/2024-03-09/a.parquet", log())
    found = shadow()
    newest = found.request_source.newest_time()
    with found.request_source.reading(window_of(found.deployment, newest.date())) as reading:
        some = reading.newest(2)
    assert newest == max(log()["predicted_at"].to_pylist())
    assert some["requested_at"].to_pylist() == sorted(log()["predicted_at"].to_pylist())[:-3:-1]
    assert {"request_id", "champion", *found.deployment.requests.features} <= set(some.column_names)


def test_nothing_is_left_behind(put: Any, shadow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put("log/2024-03-09/a.parquet", log())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spill"))
    (tmp_path / "spill").mkdir()
    drawn(shadow())
    assert list((tmp_path / "spill").iterdir()) == []


def test_the_engine_alone_opens_no_s3(shadow: Any) -> None:
    found = shadow(requests={"table": "parquet:s3://bucket/{day}.parquet"})
    assert "must be files of this machine here" in refusal(lambda: found.request_source, DeploymentError)
    assert isinstance(found.deployment, Deployment)
