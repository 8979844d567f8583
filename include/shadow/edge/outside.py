"""What tasks, pages and the command line can open beside files: documents and stores on S3."""

import sys
from contextlib import redirect_stdout
from urllib.parse import urlsplit

from include.shadow.documents import Document
from include.shadow.edge.aws import open_document
from include.shadow.store import Store, open_store


class Cloud:
    """Opens what lies on this machine and on S3; `conn_id` names a connection of Airflow's amazon provider.

    None takes the credentials that boto3 finds by itself.
    """

    def document(self, uri: str, conn_id: str | None) -> Document:
        """Return the document at s3://BUCKET/KEY, a `file://` URI or a path.

        Raises CredentialsError where the connection is not declared, RegistryError where it cannot be used.
        """
        return open_document(uri, conn_id)

    def store(self, uri: str, conn_id: str | None) -> Store:
        """Return the store at s3://BUCKET/PREFIX, a `file://` URI or a path.

        Raises CredentialsError where the connection is not declared, SnapshotError where it cannot be used.
        """
        if urlsplit(uri).scheme != "s3":
            return open_store(uri)
        from include.shadow.edge.s3_store import open_s3

        return open_s3(uri, conn_id)


class Terminal(Cloud):
    """The same for a command line, whose standard output is its answer: what Airflow logs goes to the other."""

    def document(self, uri: str, conn_id: str | None) -> Document:
        """Return a document as `Cloud` does."""
        with redirect_stdout(sys.stderr):
            return super().document(uri, conn_id)

    def store(self, uri: str, conn_id: str | None) -> Store:
        """Return a store as `Cloud` does."""
        with redirect_stdout(sys.stderr):
            return super().store(uri, conn_id)
