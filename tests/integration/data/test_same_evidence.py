"""The same production in Postgres, in Parquet and in JSON lines, on disk and on S3, gives the same evidence."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connections
from shadow_deployment.integrations.cloud import AwsCloud
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import run_days
from tests import production
from tests.json_lines import compressed, encoded_lines
from tests.parquet import Put, by_day, encoded, on_disk
from tests.production import World, day

RUN = 3
SAMPLE = {"rate": 0.5, "strata": ["origin"], "rates": {"JFK": 0.8}, "minimum_per_stratum": 8, "salt": "synthetic"}
LOG = "predictions/dt={day}/*.parquet"
LABELS = "outcome/{day:%Y/%m/%d}/**/*.parquet"
FLUSHED = pd.Timedelta(hours=2)  # after which rows of JSON lines reach a file


def export(put: Put) -> None:
    """Write the log by day in two files each, and the labels by the day and hour at which they became known."""
    log, outcome = production.synthetic()
    table = pa.Table.from_pandas(log.where(log.notna(), None), preserve_index=False)
    for of_day, rows in by_day(table, "predicted_at").items():
        for number, part in enumerate((rows[:20], rows[20:])):
            put(f"predictions/dt={of_day}/part-{number}.parquet", encoded(part, row_group_size=7))
    for of_day, rows in by_day(pa.Table.from_pandas(outcome, preserve_index=False), "known_at").items():
        put(f"outcome/{of_day:%Y/%m/%d}/00/{of_day}.parquet", encoded(rows))


def in_parquet(root: str, conn_id: str | None) -> dict[str, Any]:
    other = {"name": "other", "model": "logged:other_probability"}
    return {
        "requests": {"conn_id": conn_id, "table": f"parquet:{root}/{LOG}"},
        "labels": {"conn_id": conn_id, "table": f"parquet:{root}/{LABELS}"},
        "challengers": [other, {"name": "a_a_check", "model": "champion"}],
    }


def export_lines(put: Put) -> None:
    """Write log and labels as JSON lines, by the day on which they were flushed: the evening is in the next day's."""
    log, outcome = production.synthetic()
    for name, time, rows in (("predictions", "predicted_at", log), ("outcome", "known_at", outcome)):
        for of_day, of_file in rows.groupby((rows[time] + FLUSHED).dt.date):
            values = of_file.astype(object).where(of_file.notna(), None).to_dict("records")
            put(f"{name}/{of_day}/00/{name}.jsonl.gz", compressed(encoded_lines(values)))


def in_lines(root: str, conn_id: str | None) -> dict[str, Any]:
    log, outcome = production.synthetic()
    kinds = {"O": "string", "f": "number", "i": "integer", "M": "timestamp"}
    found = in_parquet(root, conn_id)
    for key, name, rows in (("requests", "predictions", log), ("labels", "outcome", outcome)):
        columns = {column: kinds[type_.kind] for column, type_ in rows.dtypes.items()}
        found[key] |= {"table": f"jsonl:{root}/{name}/{{day}}/**/*.jsonl.gz", "columns": columns}
    return found


def parts(world: World) -> dict[tuple[str, str], bytes]:
    """Return every part of every snapshot, by day and name."""
    return {(path.parts[-4], path.name): path.read_bytes() for path in sorted(world.snapshots.rglob("*.parquet"))}


def run(world: World, connections: Connections | None = None, **changes: Any) -> None:
    shadow = DeploymentContext(world.deploy(sample=SAMPLE, **changes), connections or world.connection, AwsCloud())
    run_days(shadow, [day(number) for number in range(RUN)], Console(file=io.StringIO()))


def assert_all_is_the_same(world: World, expected: World) -> None:
    assert parts(world) == parts(expected)
    got, wanted = world.evidence(), expected.evidence()
    pd.testing.assert_frame_equal(got.drop(columns="digest"), wanted.drop(columns="digest"), check_exact=True)
    assert {"other", "a_a_check"} == set(got["challenger"])
    assert got["day"].nunique() == RUN
    for name in ("request", "label", "validation"):
        assert world.content()[name] == expected.content()[name]
    assert [one[:4] + one[5:] for one in world.verdicts()] == [one[:4] + one[5:] for one in expected.verdicts()]


@pytest.fixture(scope="module")
def expected(worlds: Callable[..., World]) -> World:
    world = worlds()
    run(world)
    return world


@pytest.fixture
def files(worlds: Callable[..., World]) -> tuple[World, Path]:
    world = worlds()
    export(on_disk(world.folder / "logs"))
    return world, world.folder / "logs"


@pytest.mark.parametrize(("write", "declared"), [(export, in_parquet), (export_lines, in_lines)])
def test_all_that_is_found_out_is_the_same_from_files_on_s3(
    write: Callable[[Put], None],
    declared: Callable[[str, str], dict[str, Any]],
    expected: World,
    worlds: Callable[..., World],
    bucket: Any,
) -> None:
    world = worlds()
    write(lambda name, content: bucket.put_object(Key=f"a b/{name}", Body=content))
    run(world, **declared(f"s3://{bucket.name}/a b", "logs_aws"))
    assert_all_is_the_same(world, expected)


@pytest.mark.parametrize("lies_in_parquet", [("requests", "labels"), ("requests",), ("labels",)])
def test_requests_and_labels_may_lie_in_different_places(
    lies_in_parquet: tuple[str, ...], expected: World, files: tuple[World, Path]
) -> None:
    world, folder = files
    found = in_parquet(folder.as_uri(), None)
    changes = {name: found[name] for name in lies_in_parquet}
    changes["challengers"] = found["challengers"]
    shadow = DeploymentContext(world.deploy(sample=SAMPLE, **changes), world.connection)
    for number in range(RUN):
        steps.sample(shadow, day(number))
    steps.collect_labels(shadow, day(RUN - 1))
    assert parts(world) == parts(expected)
    assert world.content()["label"] == expected.content()["label"]


def test_parts_say_no_word_of_where_they_come_from(expected: World) -> None:
    for content in parts(expected).values():
        schema = pq.read_schema(pa.BufferReader(content))
        assert schema.remove_metadata().equals(schema, check_metadata=True)
        assert not any(field.metadata for field in schema)
