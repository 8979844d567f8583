"""Queries of Amazon Athena: each is unloaded to files, which are removed after they were read."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Final
from uuid import uuid4

from tenacity import Retrying, retry_if_result, wait_exponential

from shadow_deployment.base.redaction import first_line
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.partitions import Pattern
from shadow_deployment.data.sources.duckdb.lake import LakeFile
from shadow_deployment.errors import CredentialsError, SourceError, TransientError
from shadow_deployment.integrations.aws import translated
from shadow_deployment.integrations.s3_lake import S3Lake

logger = logging.getLogger(__name__)

RIGHTS: Final = (
    "allow athena:StartQueryExecution, GetQueryExecution and StopQueryExecution, glue:GetTable and GetPartitions, "
    "s3:GetObject of the table, and s3:PutObject, GetObject, DeleteObject and ListBucket of the snapshots"
)
_VALUE_ERRORS: Final = re.compile(r"(INVALID_CAST_ARGUMENT|INVALID_FUNCTION_ARGUMENT|NUMERIC_VALUE_OUT_OF_RANGE)\b")
_DENIED: Final = re.compile("access ?denied|not authorized|insufficient .*permission", re.IGNORECASE)
_SYSTEM: Final = 1  # a category of Athena's errors
_GB: Final = 1_000_000_000


class Queries:
    """Runs statements of Athena and finds what they unloaded; `what` names the table in errors."""

    def __init__(self, deployment: Deployment, what: str, athena: Any, s3: Any, credentials: str) -> None:
        self.what = f"{what} in Athena"
        self.lake = S3Lake(s3, credentials)
        self.scanned = 0  # bytes, since it was last set to none
        self._athena, self._s3, self._credentials = athena, s3, credentials
        self._settings = deployment.athena
        self._root = f"{deployment.store.snapshots.rstrip('/')}/athena/"

    @contextmanager
    def unloaded(self, select: str) -> Iterator[list[LakeFile]]:
        """Unload the rows of a statement to files that are removed after the block."""
        place = f"{self._root}{uuid4().hex}/"
        try:
            with self.translated():
                self._run(f"UNLOAD ({select}) TO '{place}rows/' WITH (format = 'PARQUET')", f"{place}result/")
            yield list(self.lake.find(Pattern(f"{place}rows/*")))
        except BaseException:
            with suppress(Exception):  # what went wrong first is what helps
                self._remove(place)
            raise
        with self.translated():
            self._remove(place)

    def translated(self) -> AbstractContextManager[None]:
        """Raise SourceError or TransientError for an error of boto3's."""
        return translated(self.what, self._credentials, RIGHTS, kind=SourceError)

    def _run(self, statement: str, output: str) -> None:
        query = self._athena.start_query_execution(
            QueryString=statement,
            WorkGroup=self._settings.workgroup,
            ResultConfiguration={"OutputLocation": output},
            ClientRequestToken=uuid4().hex,
        )["QueryExecutionId"]
        try:
            looking = Retrying(retry=retry_if_result(_is_unfinished), wait=wait_exponential(0.1, max=5))
            execution = looking(self._look, query)
        except BaseException:  # too much is scanned, or the step's time is over
            self._athena.stop_query_execution(QueryExecutionId=query)
            raise
        self.scanned += _scanned(execution)
        logger.info("%s: query %s scanned %s bytes", self.what, query, f"{_scanned(execution):,}")
        if execution["Status"]["State"] != "SUCCEEDED":
            self._raise(execution["Status"])

    def _look(self, query: str) -> dict[str, Any]:
        execution: dict[str, Any] = self._athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]
        self._require_few(_scanned(execution))
        return execution

    def _require_few(self, scanned: int) -> None:
        most = self._settings.max_scanned_gb
        if most is not None and scanned > most * _GB:
            raise SourceError(
                f"{self.what}: a query scanned {scanned / _GB:.3g} GB, athena.max_scanned_gb == {most:g}: it was "
                "cancelled; allow more, or name the partitions of requests and labels, as in "
                "athena:DATABASE.TABLE/COLUMN={day}"
            )

    def _raise(self, status: Mapping[str, Any]) -> None:
        reason = first_line(status.get("StateChangeReason") or status["State"])
        error = status.get("AthenaError") or {}
        if value := _VALUE_ERRORS.search(reason):  # the reason shows it
            raise SourceError(f"{self.what}: a value cannot be read: {value[1]}")
        if _DENIED.search(reason):
            raise CredentialsError(f"{self.what}: {reason}; {RIGHTS}")
        if error.get("Retryable") or error.get("ErrorCategory") == _SYSTEM:
            raise TransientError(f"{self.what}: {reason}")
        raise SourceError(f"{self.what}: {reason}")

    def _remove(self, place: str) -> None:
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            keys = [{"Key": each["Key"]} for each in page.get("Contents", [])]
            if keys:
                self._s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})


def _scanned(query: Mapping[str, Any]) -> int:
    return int(query.get("Statistics", {}).get("DataScannedInBytes", 0))


def _is_unfinished(query: Mapping[str, Any]) -> bool:
    return query["Status"]["State"] in ("QUEUED", "RUNNING")
