"""What tasks, pages and the command line can open beside files: documents and stores on S3."""

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.partitions import Pattern
from shadow_deployment.data.documents import Document
from shadow_deployment.data.sources.duckdb.lake import Folder, Lake
from shadow_deployment.data.storage import Store, open_store
from shadow_deployment.integrations.aws import open_document

if TYPE_CHECKING:
    from shadow_deployment.config.sources.tables import SourceTable
    from shadow_deployment.data.predictor import Predictor
    from shadow_deployment.data.sources.engines.port import QueryEngine


class AwsCloud:
    """Opens what lies on this machine and on S3; `conn_id` names a connection of Airflow's amazon provider.

    None takes the credentials that boto3 finds by itself.
    """

    def __init__(self) -> None:
        self._stores: dict[tuple[str, str | None], Store] = {}

    def document(self, uri: str, conn_id: str | None) -> Document:
        """Return the document at s3://BUCKET/KEY, a `file://` URI or a path.

        Raises CredentialsError where the connection is not declared, RegistryError where it cannot be used.
        """
        return open_document(uri, conn_id)

    def store(self, uri: str, conn_id: str | None) -> Store:
        """Return the store at s3://BUCKET/PREFIX, a `file://` URI or a path; one on S3 is kept with what it fetches.

        Raises CredentialsError where the connection is not declared, SnapshotError where it cannot be used.
        """
        if urlsplit(uri).scheme != "s3":
            return open_store(uri)
        from shadow_deployment.integrations.s3_storage import open_s3

        place = (uri, conn_id)
        if place not in self._stores:
            self._stores[place] = open_s3(uri, conn_id)
        return self._stores[place]

    def lake(self, pattern: Pattern, conn_id: str | None) -> Lake:
        """Return where Parquet files of production lie, on S3 or on this machine.

        Raises CredentialsError where the connection is not declared, SourceError where it cannot be used.
        """
        if not pattern.is_on_s3:
            return Folder()
        from shadow_deployment.integrations.s3_lake import open_lake

        return open_lake(str(pattern), conn_id)

    def athena(self, deployment: Deployment, key: str, table: "SourceTable") -> "QueryEngine":
        """Return what reads a table of Athena; `key` names it, such as requests.table.

        Raises CredentialsError where the connection is not declared, SourceError where it cannot be used.
        """
        from shadow_deployment.integrations.athena.tables import open_athena

        return open_athena(deployment, key, table)

    def sagemaker(self, model: Challenger, deployment: Deployment) -> "Predictor":
        """Return a model on SageMaker.

        Raises CredentialsError where the connection is not declared, ModelError where it cannot be used.
        """
        from shadow_deployment.integrations.sagemaker import open_sagemaker

        return open_sagemaker(model, deployment)


class TerminalCloud(AwsCloud):
    """The same for a command line, whose standard output is its answer: what Airflow logs goes to the other."""

    def document(self, uri: str, conn_id: str | None) -> Document:
        """Return a document as `Cloud` does."""
        with redirect_stdout(sys.stderr):
            return super().document(uri, conn_id)

    def store(self, uri: str, conn_id: str | None) -> Store:
        """Return a store as `Cloud` does."""
        with redirect_stdout(sys.stderr):
            return super().store(uri, conn_id)

    def lake(self, pattern: Pattern, conn_id: str | None) -> Lake:
        """Return where Parquet files lie as `Cloud` does."""
        with redirect_stdout(sys.stderr):
            return super().lake(pattern, conn_id)

    def athena(self, deployment: Deployment, key: str, table: "SourceTable") -> "QueryEngine":
        """Return what reads a table of Athena as `Cloud` does."""
        with redirect_stdout(sys.stderr):
            return super().athena(deployment, key, table)

    def sagemaker(self, model: Challenger, deployment: Deployment) -> "Predictor":
        """Return a model on SageMaker as `Cloud` does."""
        with redirect_stdout(sys.stderr):
            return super().sagemaker(model, deployment)
