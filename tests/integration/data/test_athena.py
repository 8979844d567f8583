"""Tables of Athena: the life of a query by moto, and what it means by running the same statement on DuckDB.

No statement of these tests was ever run by Athena itself: DuckDB runs what SQLGlot reads of it.
"""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.ports import all_labels
from shadow_deployment.errors import CredentialsError, ShadowError, SourceError, TransientError
from shadow_deployment.integrations.athena import queries, tables
from shadow_deployment.integrations.cloud import AwsCloud
from tests import production
from tests.builders import asked
from tests.integration.data import test_features_as_of as as_of
from tests.integration.data.test_same_sample import COLUMNS, IDS, STRATA, deployed, designs, drawn, into_postgres, logs
from tests.integration.engines.test_spark_contract import column
from tests.parquet import encoded
from tests.production import World, day, moment

sqlglot = pytest.importorskip("sqlglot", reason="the extra athena is not installed")
HIVE = {
    "int8": "tinyint", "int16": "smallint", "int32": "int", "int64": "bigint", "float": "float", "double": "double",
    "bool": "boolean", "string": "string", "large_string": "string", "date32[day]": "date",
    "timestamp[us]": "timestamp", "timestamp[us, tz=UTC]": "timestamp with time zone", "uint16": "int",
    "uint32": "bigint", "decimal128(20, 6)": "decimal(20,6)",
}  # fmt: skip
WIDER = {"uint16": pa.int32(), "uint32": pa.int64()}


@dataclass
class Athena:
    """moto's client, which runs nothing; DuckDB runs its statements, and writes what they unload."""

    moto: Any
    bucket: Any
    session: duckdb.DuckDBPyConnection
    statements: list[str] = field(default_factory=list)
    unloaded: list[int] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    failure: dict[str, Any] | None = None
    scanned: int = 0

    def start_query_execution(self, **options: Any) -> Any:
        self.statements.append(options["QueryString"])
        unload = re.fullmatch(r"UNLOAD \((.*)\) TO 's3://[^/]+/(.*/)' WITH \(format = 'PARQUET'\)", self.statements[-1])
        assert unload is not None
        [select] = sqlglot.transpile(unload[1], read="athena", write="duckdb")
        rows = self.session.sql(select).to_arrow_table()
        self.unloaded.append(rows.num_rows)
        for number, batch in enumerate(rows.to_batches(max_chunksize=7)):  # in some files, in no order
            self.bucket.put_object(Key=f"{unload[2]}{9 - number}-part", Body=encoded(pa.Table.from_batches([batch])))
        return self.moto.start_query_execution(**options)

    def get_query_execution(self, **options: Any) -> Any:
        found = self.moto.get_query_execution(**options)
        execution = found["QueryExecution"]
        execution["Statistics"]["DataScannedInBytes"] = self.scanned
        execution["Status"] |= self.failure or {}
        return found

    def stop_query_execution(self, **options: Any) -> Any:
        self.stopped.append(options["QueryExecutionId"])
        return self.moto.stop_query_execution(**options)


@dataclass(frozen=True)
class Lake:
    """A database of Athena with tables that tests put there."""

    athena: Athena
    glue: Any

    def put(self, name: str, rows: pa.Table, partitions: dict[str, str] | None = None) -> str:
        """Make a table; return what a deployment calls it."""
        types = [WIDER.get(str(each.type), each.type) for each in rows.schema]
        self.athena.session.register("given", rows.cast(pa.schema(list(zip(rows.column_names, types, strict=True)))))
        self.athena.session.execute(f"CREATE OR REPLACE TABLE shop.{name} AS FROM given")
        hive = [{"Name": each.name, "Type": HIVE[str(each.type)]} for each in rows.schema]
        keys = [each for each in hive if each["Name"] in (partitions or {})]
        columns = [each for each in hive if each not in keys]
        given_table = {"Name": name, "StorageDescriptor": {"Columns": columns}, "PartitionKeys": keys}
        if name in {each["Name"] for each in self.glue.get_tables(DatabaseName="shop")["TableList"]}:
            self.glue.update_table(DatabaseName="shop", TableInput=given_table)
        else:
            self.glue.create_table(DatabaseName="shop", TableInput=given_table)
        return f"athena:shop.{name}" + "".join(f"/{key}={form}" for key, form in (partitions or {}).items())


@pytest.fixture
def lake(bucket: Any, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    of_aws = tables.client
    with duckdb.connect() as session:
        session.execute("SET TimeZone = 'UTC'; CREATE SCHEMA shop")
        answering = Athena(of_aws("athena", "logs_aws"), bucket, session)
        glue = of_aws("glue", "logs_aws")
        glue.create_database(DatabaseInput={"Name": "shop"})
        monkeypatch.setattr(tables, "client", lambda name, conn: answering if name == "athena" else of_aws(name, conn))
        monkeypatch.setattr(queries, "wait_exponential", lambda *_, **__: lambda _: 0)
        yield Lake(answering, glue)
        assert [each.key for each in bucket.objects.all()] == [], "what was unloaded is removed"
        glue.delete_database(Name="shop")


@pytest.fixture(scope="module")
def ours(worlds: Callable[..., World]) -> World:
    return worlds(own=True)


def context(world: World, deployment: Deployment) -> DeploymentContext:
    return DeploymentContext(deployment, world.connection, AwsCloud())


def stored(bucket: Any) -> dict[str, str]:
    return {"snapshots": f"s3://{bucket.name}/snapshots", "snapshots_conn_id": "logs_aws"}


@settings(max_examples=5, suppress_health_check=list(HealthCheck))
@given(log=logs(), choose=st.data())
def test_the_same_rows_give_the_same_sample(
    log: Any, choose: st.DataObject, ours: World, lake: Lake, bucket: Any
) -> None:
    kind, rows = log
    sample = choose.draw(designs())
    duplicates = choose.draw(st.sampled_from(["refuse", "first"]))
    into_postgres(ours, kind, rows)
    deployment = deployed(ours, sample=sample, requests={"duplicates": duplicates})
    window = window_of(deployment, day(0))
    expected = drawn(context(ours, deployment).request_source, deployment, window)
    types = {name: of_parquet for name, (_, of_parquet, _) in {"id": IDS[kind], **COLUMNS, **STRATA}.items()}
    types |= {"answer": pa.float64(), "time": pa.timestamp("us"), "version": pa.int64()}
    table = lake.put("log", pa.table({name: column([row[name] for row in rows], one) for name, one in types.items()}))
    changes = {"duplicates": duplicates, "table": table, "conn_id": "logs_aws"}
    found = deployed(ours, sample=sample, requests=changes, store=stored(bucket))
    population, got = drawn(context(ours, found).request_source, deployment, window)
    assert population == expected[0]
    if population:
        assert got.schema.equals(expected[1].schema, check_metadata=True)
        assert got.combine_chunks().equals(expected[1].combine_chunks())


@pytest.fixture
def of_flights(ours: World, lake: Lake, bucket: Any) -> Callable[..., tuple[DeploymentContext, DeploymentContext]]:
    """Put flights into Athena, partitioned by their day; return what reads them there, and in Postgres."""

    def put(**changes: Any) -> tuple[DeploymentContext, DeploymentContext]:
        log, outcome = production.synthetic()
        days = {"dt": log["predicted_at"].map(lambda at: f"{at:%Y%m%d}")}
        requests = pa.Table.from_pandas(log.where(log.notna(), None).assign(**days), preserve_index=False)
        labels = pa.Table.from_pandas(outcome, preserve_index=False)
        challengers = [{"name": "a_a_check", "model": "champion"}]
        sample = {"rate": 0.2, "strata": ["origin"]}
        found = ours.deploy(
            requests={"table": lake.put("log", naive(requests), {"dt": "{day:%Y%m%d}"}), "conn_id": "logs_aws"},
            labels={"table": lake.put("outcome", naive(labels)), "conn_id": "logs_aws"},
            store=stored(bucket), challengers=challengers, sample=sample, **changes,
        )  # fmt: skip
        return context(ours, found), ours.shadow(challengers=challengers, sample=sample)

    return put


def naive(rows: pa.Table) -> pa.Table:
    """Return times as Hive has them: in UTC without saying so."""
    types = [pa.timestamp("us") if pa.types.is_timestamp(each.type) else each.type for each in rows.schema]
    return rows.cast(pa.schema(list(zip(rows.column_names, types, strict=True))))


def test_labels_and_what_was_logged_are_found_by_their_hash(of_flights: Callable[..., Any], lake: Lake) -> None:
    found, expected = of_flights()
    window = window_of(found.deployment, day(1))
    _, rows = drawn(expected.request_source, expected.deployment, window)
    ids = rows["request_id"].to_pylist()
    requests = asked(dict(enumerate(ids)))
    until = window.end + dt.timedelta(days=3)
    sources = (found.label_source, expected.label_source)
    got, wanted = (all_labels(each, requests, None, until).sort_by("ordinal") for each in sources)
    assert got.equals(wanted)
    assert got.num_rows > 5
    logged = [each.request_source.logged("other_probability", ids, window) for each in (found, expected)]
    assert logged[0] == logged[1]
    assert len(logged[0]) == len(ids)
    for statement in lake.athena.statements:
        assert "LOWER(TO_HEX(SHA256(TO_UTF8(" in statement.upper()
        assert not any(f"'{one}'" in statement for one in ids), "ids are brought to nobody"


def test_features_of_a_challengers_own_are_those_that_were_known(
    ours: World, lake: Lake, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what was known before all requests only the newest rows of their keys are unloaded; no key is brought."""
    monkeypatch.setattr(tables, "_MOST_HASHES", 100)
    place = {"table": lake.put("history", naive(as_of.everything())), "conn_id": "logs_aws"}
    found = context(ours, ours.deploy(challengers=[as_of.challenger("athena", place)], store=stored(bucket)))
    as_of.assert_as_planted(found, "athena")
    assert lake.athena.unloaded == [1, 8]
    assert not any(f"{customer}" in lake.athena.statements[-1] for customer in as_of.planted()[1])
    as_of.assert_as_pandas_joins(found, "athena")
    assert [one > 1 for one in lake.athena.unloaded[2:]] == [False, True, True, False, False]


def test_a_window_scans_its_partitions_and_says_how_much(of_flights: Callable[..., Any], lake: Lake) -> None:
    found, _ = of_flights()
    source, window = found.request_source, window_of(found.deployment, day(1))
    lake.athena.scanned = 1_000
    population, _ = drawn(source, found.deployment, window)
    assert sum(population.values()) == 60
    for statement in lake.athena.statements:
        assert set(re.findall(r""""dt" = '(\d+)'""", statement)) == {"20240301", "20240302", "20240303"}
    assert source.access(window).bytes == 2_000


def test_the_newest_are_found(of_flights: Callable[..., Any]) -> None:
    found, expected = of_flights()
    found.check_sources()
    assert found.request_source.newest_time() == expected.request_source.newest_time()
    assert found.request_source.newest_version(moment(1)) == "7"
    window = window_of(found.deployment, day(1))
    newest = []
    for each in (found, expected):
        with each.request_source.reading(window) as reading:
            newest.append(reading.newest(3)["request_id"].to_pylist())
    assert newest[0] == newest[1]


def test_a_query_that_scans_too_much_is_cancelled(of_flights: Callable[..., Any], lake: Lake) -> None:
    found, _ = of_flights(athena={"max_scanned_gb": 2})
    lake.athena.scanned = 2_500_000_000
    with pytest.raises(
        SourceError, match=r"requests\.table == .* scanned 2\.5 GB, athena\.max_scanned_gb == 2: it was"
    ):
        drawn(found.request_source, found.deployment, window_of(found.deployment, day(1)))
    assert len(lake.athena.stopped) == 1


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (
            {"StateChangeReason": "INVALID_CAST_ARGUMENT: Cannot cast 'secret' to INT"},
            SourceError,
            "cannot be read: INV",
        ),
        ({"StateChangeReason": "COLUMN_NOT_FOUND: line 1:8"}, SourceError, "COLUMN_NOT_FOUND: line 1:8"),
        ({"StateChangeReason": "Access Denied (Service: S3)"}, CredentialsError, "allow athena:StartQueryExecution"),
        ({"StateChangeReason": "later", "AthenaError": {"Retryable": True}}, TransientError, "later"),
        ({"StateChangeReason": "ours", "AthenaError": {"ErrorCategory": 1}}, TransientError, "ours"),
    ],
)
def test_a_query_that_fails_says_why_without_a_value(
    status: dict[str, Any], kind: type[ShadowError], said: str, of_flights: Callable[..., Any], lake: Lake
) -> None:
    found, _ = of_flights()
    lake.athena.failure = {"State": "FAILED", **status}
    with pytest.raises(kind, match=said) as caught:
        drawn(found.request_source, found.deployment, window_of(found.deployment, day(1)))
    assert "secret" not in str(caught.value)
    assert lake.athena.stopped == []


def test_a_table_that_is_not_there_is_named(ours: World, lake: Lake, bucket: Any) -> None:
    found = ours.deploy(requests={"table": "athena:shop.nothing", "conn_id": "logs_aws"}, store=stored(bucket),
                        challengers=[{"name": "a_a_check", "model": "champion"}])  # fmt: skip
    with pytest.raises(SourceError, match=r"requests\.table == 'athena:shop\.nothing' in Athena: EntityNotFound"):
        context(ours, found).request_source.check()


def test_a_time_in_a_key_is_refused(ours: World, lake: Lake, bucket: Any) -> None:
    times = pa.array([moment(0.5).replace(tzinfo=None)], pa.timestamp("us"))
    table = lake.put("keys", pa.table({"a": ["x"], "time": times, "at": times, "p": [0.5]}))
    found = ours.deploy(
        requests={"table": table, "conn_id": "logs_aws", "id": ["a", "at"], "time": "time", "features": ["p"],
                  "prediction": "p", "version": None, "latency": None},
        labels={"id": ["a", "b"]}, store=stored(bucket), slices=[],
        challengers=[{"name": "a_a_check", "model": "champion"}],
        policy={"rules": [{"metric": "error_rate", "is": "at_most", "value": 0.5}]},
    )  # fmt: skip
    with pytest.raises(SourceError, match=r"requests\.id: column 'at' is of type timestamp, must be text"):
        context(ours, found).request_source.check()
