"""Labels in Parquet, however many there are: read once, and in no more memory than the files need."""

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shadow_deployment.config.partitions import Pattern
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import environment
from shadow_deployment.data.sources.duckdb.formats import Parquet
from shadow_deployment.data.sources.duckdb.lake import Folder
from shadow_deployment.data.sources.duckdb.session import DuckDBSession, open_session
from tests.builders import a_deployment, asked

NOON = dt.datetime(2024, 3, 9, 12, tzinfo=dt.UTC)


def test_labels_of_all_parts_of_the_ids_are_found_by_one_statement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known_at = pa.array([NOON] * 3, pa.timestamp("us", "UTC"))
    outcome = pa.table({"request_id": ["r0", "r1", "r2"], "is_late": [0, 1, 0], "known_at": known_at})
    pq.write_table(outcome, tmp_path / "labels.parquet")
    table = f"parquet:{tmp_path}/*.parquet"
    deployment = a_deployment(
        requests={"conn_id": None, "table": table},
        labels={"conn_id": None, "table": table},
        challengers=[{"name": "a_a_check", "model": "champion"}],
    )
    read, stream = list[str](), DuckDBSession.stream
    monkeypatch.setattr(DuckDBSession, "stream", lambda *given: read.append(given[1].name) or stream(*given))
    parts = iter([asked({7: "r0"}), asked({}), asked({3: "r1", 4: "r0"})])
    batches = list(DeploymentContext(deployment, environment).label_source.labels(parts, None, NOON))
    assert sorted(ordinal for batch in batches for ordinal in batch["ordinal"].to_pylist()) == [3, 4, 7]
    assert read == ["labels.sql"]


@pytest.mark.parametrize(("values", "megabytes"), [(1_000, 200), (2_000_000, 265)])
def test_a_session_has_memory_for_a_row_group_in_each_thread_and_little_more(
    values: int, megabytes: float, tmp_path: Path
) -> None:
    """Less could not read the file; more would be taken by a join or a sort before it spills."""
    numbers = pa.table({"n": np.random.default_rng(1).random(values)})
    pq.write_table(numbers, tmp_path / "numbers.parquet", row_group_size=values, use_dictionary=False)
    files = list(Folder().find(Pattern.parse(f"parquet:{tmp_path}/numbers.parquet")))
    with open_session(Folder(), files, "numbers", Parquet()) as session:
        Parquet().open(session, "numbers", files)
        [(limit,)] = session.execute("SELECT current_setting('memory_limit')").fetchall()
    number, unit = limit.split()
    assert unit == "MiB"
    assert float(number) * 2**20 / 1e6 == pytest.approx(megabytes, rel=0.01)
