"""A deployment and what surrounds it: connections, ledger, production, the snapshots' store, and what lies outside."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from shadow_deployment.base.extras import requires_extra
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.partitions import Pattern, engine_of
from shadow_deployment.data.connections import Connection, Connections
from shadow_deployment.data.db import Session, Sessions, connect, translated
from shadow_deployment.data.documents import Document, open_file
from shadow_deployment.data.ports import FeatureSource, LabelSource, RequestSource
from shadow_deployment.data.sources.duckdb.lake import Folder, Lake
from shadow_deployment.data.storage import Store, open_store
from shadow_deployment.errors import DeploymentError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from shadow_deployment.config.sources.tables import SourceTable
    from shadow_deployment.data.predictor import Predictor
    from shadow_deployment.data.sources.engines.port import QueryEngine


class RequestFunction(Protocol):
    """A function that gives each request one value."""

    def values(self, inputs: "pa.RecordBatch") -> "NDArray[np.float64]":
        """Return a value for each row."""
        ...

    def is_loaded(self, identity: str) -> bool:
        """Return whether it can be called, and is the function of this identity."""
        ...


class ModelProcesses(Protocol):
    """Processes of models, which live from day to day; see `models/sandbox/kept.py`."""

    def find(self, program: Any) -> Any:
        """Return the process that runs a program, None where there is none."""
        ...

    def keep(self, program: Any, process: Any) -> None:
        """Keep a process that has just loaded its program."""
        ...

    def is_as_new(self, program: Any, batch: "pa.RecordBatch", answer: "Callable[[pa.RecordBatch], Any]") -> bool:
        """Return whether a program's process answers as it did when it was new."""
        ...


class Cloud(Protocol):
    """Opens places by their address; `conn_id` names the credentials where a place needs some."""

    def document(self, uri: str, conn_id: str | None) -> Document:
        """Return a document that others read."""
        ...

    def store(self, uri: str, conn_id: str | None) -> Store:
        """Return a store, of snapshots or of models."""
        ...

    def lake(self, pattern: Pattern, conn_id: str | None) -> Lake:
        """Return where files of production lie."""
        ...

    def athena(self, deployment: Deployment, key: str, table: "SourceTable") -> "QueryEngine":
        """Return what reads a table of Athena; `key` names it, such as requests.table."""
        ...

    def sagemaker(self, model: Challenger, deployment: Deployment) -> "Predictor":
        """Return a model on SageMaker."""
        ...


class LocalFiles:
    """Opens what lies on this machine, and nothing else: all that the engine can do without a cloud's library."""

    def document(self, uri: str, conn_id: str | None) -> Document:
        """Return the document at a `file://` URI or a path; raise DeploymentError for any other place."""
        return open_file(uri, conn_id)

    def store(self, uri: str, conn_id: str | None) -> Store:  # noqa: ARG002 (files need no connection)
        """Return the store at a `file://` URI or a path; raise DeploymentError for any other place."""
        return open_store(uri)

    def lake(self, pattern: Pattern, conn_id: str | None) -> Lake:  # noqa: ARG002 (files need no connection)
        """Return the files of this machine; raise DeploymentError for any other place."""
        if pattern.is_on_s3:
            raise DeploymentError(
                f"{pattern}, must be files of this machine here: S3 is opened by "
                "shadow_deployment.integrations.cloud, as tasks and the command line do"
            )
        return Folder()

    def athena(self, deployment: Deployment, key: str, table: "SourceTable") -> "QueryEngine":  # noqa: ARG002
        """Raise DeploymentError: Athena is not reached from here."""
        raise DeploymentError(
            f"deployment {deployment.name}: {key} must not be in Athena here: it is opened by "
            "shadow_deployment.integrations.cloud, as tasks and the command line do"
        )

    def sagemaker(self, model: Challenger, deployment: Deployment) -> "Predictor":  # noqa: ARG002 (it is refused)
        """Raise DeploymentError: SageMaker is not reached from here."""
        raise DeploymentError(
            f"{model.model_key}, must be a model that needs no cloud here: SageMaker is opened by "
            "shadow_deployment.integrations.cloud, as tasks and the command line do"
        )


LOCAL_FILES = LocalFiles()


@dataclass(frozen=True)
class DeploymentContext:
    """A deployment together with the connections, ledger, production and store that it works on.

    `digests` holds the digests of models by name and address, filled by `challengers.identities` when first needed.
    `functions` holds the loaded functions of custom metrics by name, filled by `pipeline.custom_values`.
    `sessions` opens those with ledger and production, and keeps them open between steps where many days are run.
    Where models stay loaded from day to day, `processes` holds theirs.
    """

    deployment: Deployment
    connections: Connections
    cloud: Cloud = LOCAL_FILES
    digests: dict[tuple[str, str], str] = field(default_factory=dict, repr=False, compare=False)
    functions: dict[str, "RequestFunction"] = field(default_factory=dict, repr=False, compare=False)
    sessions: Sessions = field(default_factory=Sessions, repr=False, compare=False)
    processes: ModelProcesses | None = field(default=None, repr=False, compare=False)

    @cached_property
    def store(self) -> Store:
        """Where snapshots lie."""
        declared = self.deployment.store
        return self.cloud.store(declared.snapshots, declared.snapshots_conn_id)

    @cached_property
    def ledger_connection(self) -> Connection:
        """The ledger's database."""
        return self.connections(self.deployment.store.conn_id)

    @cached_property
    def request_source(self) -> RequestSource:
        """Production's prediction log, read only."""
        table, conn_id = self.deployment.requests.table, self.deployment.requests.conn_id
        if conn_id is None or engine_of(table) != "postgres":
            from shadow_deployment.data.sources.engines.requests import EngineRequests

            return EngineRequests(self.deployment, self._engine("requests", self.deployment.requests))
        from shadow_deployment.data.sources.postgres.requests import PostgresRequests

        return PostgresRequests(self.deployment, self.connections(conn_id), self.sessions)

    @cached_property
    def label_source(self) -> LabelSource:
        """Production's labels, read only."""
        table, conn_id = self.deployment.labels.table, self.deployment.labels.conn_id
        if conn_id is None or engine_of(table) != "postgres":
            from shadow_deployment.data.sources.engines.labels import EngineLabels

            return EngineLabels(self.deployment, self._engine("labels", self.deployment.labels))
        from shadow_deployment.data.sources.postgres.labels import PostgresLabels

        return PostgresLabels(self.deployment, self.connections(conn_id), self.sessions)

    def _engine(self, key: str, table: "SourceTable") -> "QueryEngine":
        """Return what reads a table that is not in Postgres; `key` is its section."""
        name, engine = f"{key}.table", engine_of(table.table)
        if engine == "athena":
            with requires_extra("athena", f"{name} == {table.table!r}"):
                return self.cloud.athena(self.deployment, name, table)
        if engine == "spark" and table.conn_id is not None:
            with requires_extra("spark", f"{name} == {table.table!r}"):
                from shadow_deployment.data.sources.engines.spark import SparkEngine
            return SparkEngine(self.connections(table.conn_id), name, table.table)
        with requires_extra("duckdb", f"{name} == {table.table!r}"):
            from shadow_deployment.data.sources.duckdb.files import Files
            from shadow_deployment.data.sources.duckdb.formats import format_of

        pattern = Pattern.parse(table.table)
        lake = self.cloud.lake(pattern, table.conn_id)
        return Files(lake, pattern, name, table.table, format_of(key, table), table.flushed_within)

    def feature_source(self, challenger: Challenger) -> FeatureSource | None:
        """Return where a challenger's own features lie, None where it has none."""
        if (wanted := challenger.features_from) is None:
            return None
        position = [each.name for each in self.deployment.challengers].index(challenger.name)
        key = f"challengers[{position}].features_from"
        if wanted.conn_id is None or engine_of(wanted.table) != "postgres":
            from shadow_deployment.data.sources.engines.features import EngineFeatures

            return EngineFeatures(wanted, key, self._engine(key, wanted))
        from shadow_deployment.data.sources.postgres.features import PostgresFeatures

        return PostgresFeatures(wanted, key, self.connections(wanted.conn_id), self.sessions, self.deployment.throttle)

    def check_sources(self) -> None:
        """Raise SourceError where production has not what the deployment names."""
        sources = (self.feature_source(challenger) for challenger in self.deployment.challengers)
        for source in (self.request_source, self.label_source, *sources):
            if source is not None:
                source.check()

    @contextmanager
    def ledger(self) -> Iterator[Session[Any]]:
        """Open the ledger for one step; raise LedgerError where it is not migrated."""
        with translated(self.ledger_connection), self.sessions.session(self.ledger_connection) as session:
            yield session

    @contextmanager
    def owned_ledger(self) -> Iterator[Session[Any]]:
        """Open the ledger as its owner, who may remove requests."""
        connection = self.connections(self.deployment.store.owner)
        with translated(connection), connect(connection) as session:
            yield session
