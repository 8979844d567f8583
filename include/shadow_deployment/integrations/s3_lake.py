"""Files on S3, read where they lie: DuckDB asks for the bytes it needs, through the connection's own client."""

import datetime as dt
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import duckdb
from fsspec import AbstractFileSystem  # type: ignore[import-untyped]

from shadow_deployment.config.partitions import Pattern
from shadow_deployment.data.sources.duckdb.lake import LakeFile
from shadow_deployment.errors import CredentialsError, ShadowError, SourceError, TransientError
from shadow_deployment.integrations.aws import client, code_of, source_of, translated

_RIGHTS = "allow s3:GetObject below the prefix, and s3:ListBucket on the bucket"
_REFUSED = {
    "AccessDenied", "AccessDeniedException", "Forbidden", "403", "ExpiredToken", "ExpiredTokenException",
    "InvalidToken", "InvalidClientTokenId", "InvalidAccessKeyId", "SignatureDoesNotMatch",
}  # fmt: skip
_CHANGED = {"PreconditionFailed", "412", "NoSuchKey", "404"}


class S3Lake:
    """Objects on S3; `client` is boto3's, and `credentials` names where they come from."""

    def __init__(self, client: Any, credentials: str) -> None:
        self._client = client
        self._credentials = credentials

    def find(self, pattern: Pattern, day: dt.date | None = None, after: str = "") -> Iterator[LakeFile]:
        """Yield the objects of a day, or of every day, in the order of their keys; `after` spares those before it.

        Raises SourceError, CredentialsError or TransientError where S3 does not list them.
        """
        matching = pattern.matching(day)
        for path, file in self._listed(pattern.root(day), after):
            if matching.fullmatch(path):
                yield LakeFile(path, int(file["Size"]), str(file["ETag"]), file["LastModified"])

    def some(self, pattern: Pattern) -> list[str]:
        """Return a few keys below the pattern's first part, whether they match or not."""
        listed = self._listed(pattern.root(), "", 3)
        return [path for path, _ in (next(listed, ("", None)) for _ in range(3)) if path]

    @contextmanager
    def serving(self, session: duckdb.DuckDBPyConnection, files: Sequence[LakeFile]) -> Iterator[None]:
        """Let DuckDB read these objects inside the block, in the version in which they were found.

        Raises TransientError where one was changed meanwhile, SourceError or CredentialsError where S3 refuses one.
        """
        if not files:
            yield
            return
        objects = _Objects(self, files)
        session.register_filesystem(objects)
        try:
            yield
        except Exception:
            if objects.failure is None:
                raise
        finally:
            session.unregister_filesystem(objects.protocol)
        if objects.failure is not None:  # DuckDB has made a text of it
            raise objects.failure

    @contextmanager
    def open(self, file: LakeFile) -> Iterator[BinaryIO]:
        """Open an object to be read from its beginning; raise as `serving` does."""
        yield io.BufferedReader(_Object(_Objects(self, [file]), file), 1 << 20)

    def read(self, file: LakeFile, start: int, end: int) -> bytes:
        """Return some bytes of an object, `end` not included; raise as `serving` does."""
        from botocore.exceptions import ClientError

        bucket, key = _address(file.path)
        with _translated(f"{file.path} cannot be read", self._credentials):
            try:
                answer = self._client.get_object(
                    Bucket=bucket, Key=key, Range=f"bytes={start}-{end - 1}", IfMatch=file.tag
                )
            except ClientError as error:
                if code_of(error) in _CHANGED:
                    raise TransientError(f"{file.path} was changed while it was read; try again") from error
                raise
            content: bytes = answer["Body"].read()
        return content

    def _listed(self, root: str, after: str, at_once: int = 1000) -> Iterator[tuple[str, Any]]:
        bucket, prefix = _address(root)
        options = {"StartAfter": _address(after)[1]} if after else {}
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": at_once}, **options
        )
        with _translated(f"{root} cannot be listed", self._credentials):
            for page in pages:
                for file in page.get("Contents", []):
                    yield f"s3://{bucket}/{file['Key']}", file


class _Objects(AbstractFileSystem):  # type: ignore[misc]
    """What DuckDB asks of a file system, for the objects of one list."""

    protocol = "s3"
    cachable = False

    def __init__(self, lake: S3Lake, files: Sequence[LakeFile]) -> None:
        super().__init__()
        self._lake = lake
        self._files = {file.path: file for file in files}
        self.failure: ShadowError | None = None

    def open(self, path: str, *_: Any, **__: Any) -> "_Object":
        return _Object(self, self._file(path))

    def read(self, file: LakeFile, start: int, end: int) -> bytes:
        try:
            return self._lake.read(file, start, end)
        except ShadowError as error:
            self.failure = self.failure or error
            raise

    def size(self, path: str) -> int:
        return self._file(path).size

    def exists(self, path: str, **_: Any) -> bool:
        return path in self._files

    def glob(self, path: str, **_: Any) -> list[str]:
        return [path]

    def modified(self, *_: Any) -> dt.datetime:
        return dt.datetime(2000, 1, 1, tzinfo=dt.UTC)  # an object is read in one version

    def _file(self, path: str) -> LakeFile:
        return self._files[path if path.startswith("s3://") else f"s3://{path}"]


class _Object(io.RawIOBase):
    """One object, opened to read."""

    def __init__(self, objects: _Objects, file: LakeFile) -> None:
        super().__init__()
        self._objects = objects
        self._file = file
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        end = self._file.size if size < 0 else min(self._file.size, self._position + size)
        if end <= self._position:
            return b""
        content = self._objects.read(self._file, self._position, end)
        self._position = end
        return content

    def readinto(self, buffer: Any) -> int:
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + {0: 0, 1: self._position, 2: self._file.size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position


def open_lake(address: str, conn_id: str | None) -> S3Lake:
    """Return what reads files on S3, with the credentials of a connection of Airflow's amazon provider.

    None takes the credentials that boto3 finds by itself. Raises CredentialsError where the connection is not declared,
    SourceError where it cannot be used.
    """
    credentials, what = source_of(conn_id), f"{address} cannot be opened"
    try:
        with _translated(what, credentials):
            return S3Lake(client("s3", conn_id), credentials)
    except ValueError as error:  # an endpoint or a setting that boto3 refuses
        raise SourceError(f"{what}: {error} (credentials of {credentials}); correct the connection") from error


def _address(path: str) -> tuple[str, str]:
    """Return bucket and key."""
    bucket, _, key = path.removeprefix("s3://").partition("/")
    return bucket, key


@contextmanager
def _translated(what: str, credentials: str) -> Iterator[None]:
    """Raise SourceError, CredentialsError or TransientError for an error of boto3's."""
    from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError

    try:
        with translated(what, credentials, _RIGHTS, kind=SourceError):
            yield
    except SourceError as error:
        cause = error.__cause__
        refused = isinstance(cause, NoCredentialsError | PartialCredentialsError)
        if refused or (isinstance(cause, ClientError) and code_of(cause) in _REFUSED):
            raise CredentialsError(str(error)) from cause
        raise
