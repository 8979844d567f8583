"""A Spark Connect server that `make test-engines` has started, and tables in it."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shadow_deployment.data.connections import Connection
from tests.engines import ADDRESS, connection, spark_session
from tests.parquet import encoded, on_disk

_tables = itertools.count(1)


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    """A session of the tests' own on the server, which shares this machine's disk."""
    if not ADDRESS:
        pytest.skip("there is no Spark Connect server: make test-engines starts one")
    with spark_session() as session:
        yield session


@pytest.fixture(scope="session")
def lake(spark: Any) -> Connection:
    """The connection that a deployment names."""
    return connection("lake")


@pytest.fixture
def in_spark(spark: Any, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Write rows into some files of a new table; return what a deployment calls it."""
    made: list[str] = []

    def put(*parts: pa.Table) -> str:
        name = f"table_{os.getpid()}_{next(_tables)}"
        for number, part in enumerate(parts):
            on_disk(tmp_path / name)(f"{number}.parquet", encoded(part))
        spark.sql(f"CREATE TABLE {name} USING parquet LOCATION '{tmp_path / name}'").collect()
        made.append(name)
        return f"spark:spark_catalog.default.{name}"

    yield put
    for name in made:
        spark.sql(f"DROP TABLE {name}").collect()
