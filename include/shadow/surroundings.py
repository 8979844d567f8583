"""A deployment and what surrounds it: connections, ledger, production, the snapshots' store, and what lies outside."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from include.shadow.connection import Connection, Connections
from include.shadow.deployment import Deployment
from include.shadow.documents import Document, open_file
from include.shadow.ledger.database import Session, connect, translated
from include.shadow.source.postgres import PostgresSource
from include.shadow.store import Store, open_store


class Outside(Protocol):
    """Opens places by their address; `conn_id` names the credentials where a place needs some."""

    def document(self, uri: str, conn_id: str | None) -> Document:
        """Return a document that others read."""
        ...

    def store(self, uri: str, conn_id: str | None) -> Store:
        """Return a store, of snapshots or of models."""
        ...


class FilesAlone:
    """Opens what lies on this machine, and nothing else: all that the engine can do without a cloud's library."""

    def document(self, uri: str, conn_id: str | None) -> Document:
        """Return the document at a `file://` URI or a path; raise DeploymentError for any other place."""
        return open_file(uri, conn_id)

    def store(self, uri: str, conn_id: str | None) -> Store:  # noqa: ARG002 (files need no connection)
        """Return the store at a `file://` URI or a path; raise DeploymentError for any other place."""
        return open_store(uri)


FILES_ALONE = FilesAlone()


@dataclass(frozen=True)
class Shadow:
    """A deployment together with the connections, ledger, production and store that it works on."""

    deployment: Deployment
    connections: Connections
    outside: Outside = FILES_ALONE

    @cached_property
    def source(self) -> PostgresSource:
        """Production, read only."""
        deployment = self.deployment
        return PostgresSource(
            deployment, self.connections(deployment.requests.conn_id), self.connections(deployment.labels.conn_id)
        )

    @cached_property
    def store(self) -> Store:
        """Where snapshots lie."""
        declared = self.deployment.store
        return self.outside.store(declared.snapshots, declared.snapshots_conn_id)

    @cached_property
    def ledger_connection(self) -> Connection:
        """The ledger's database."""
        return self.connections(self.deployment.store.conn_id)

    @contextmanager
    def ledger(self) -> Iterator[Session[Any]]:
        """Open the ledger for one step; raise LedgerError where it is not migrated."""
        with translated(self.ledger_connection), connect(self.ledger_connection) as session:
            yield session
