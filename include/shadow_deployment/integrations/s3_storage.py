"""Snapshots, reports and models on S3: an object is there whole or not at all, as S3 itself sees to.

What is read is fetched into a folder of this process, which goes with it.
"""

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO
from urllib.parse import urlsplit

from shadow_deployment.data.storage import StoreFile
from shadow_deployment.errors import DeploymentError, SnapshotError, TransientError
from shadow_deployment.integrations.aws import client, code_of, source_of, translated

_MISSING = {"NoSuchKey", "404"}
_TYPES = {".html": "text/html; charset=utf-8", ".json": "application/json"}
_RIGHTS = "allow s3:GetObject, s3:PutObject and s3:DeleteObject below the prefix, and s3:ListBucket on the bucket"
_IN_MEMORY = 8 << 20


class S3Store:
    """Files below s3://BUCKET/PREFIX; `client` is boto3's for S3, `credentials` names where they come from."""

    def __init__(self, client: Any, bucket: str, prefix: str, credentials: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._credentials = credentials
        self._fetched = Path(tempfile.mkdtemp(prefix="shadow-s3-"))
        weakref.finalize(self, shutil.rmtree, self._fetched, ignore_errors=True)

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def exists(self, name: str) -> bool:
        """Whether a file of this name was written; raise SnapshotError or TransientError where S3 does not say."""
        from botocore.exceptions import ClientError

        with self._translated(name, "looked for"):
            try:
                self._client.head_object(**self._object(name))
            except ClientError as error:
                if code_of(error) in _MISSING:
                    return False
                why = self._why(name, error)
                if code_of(why) in _MISSING:
                    return False
                raise why from error
        return True

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Open a new file; it is uploaded when the block ends well, and nothing is there otherwise."""
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
            yield StoreFile(file, Path(tempfile.gettempdir()))  # type: ignore[misc]
            self._upload(name, file)

    def sweep(self, folder: str) -> None:
        """Do nothing: S3 shows no half-written object, and the bucket's life cycle ends broken uploads."""

    def remove(self, folder: str) -> None:
        """Remove all objects below a folder; raise SnapshotError or TransientError where S3 refuses or fails.

        A bucket that keeps versions keeps those of removed objects too, as long as its life cycle says.
        """
        if not folder.strip("/") or ".." in folder.split("/"):
            raise SnapshotError(f"{folder!r}, must be a folder below {self}")
        with self._translated(folder, "removed"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=f"{self._prefix}{folder.strip('/')}/"
            )
            for each in (each for page in pages for each in page.get("Contents", [])):
                self._client.delete_object(Bucket=self._bucket, Key=each["Key"])
        shutil.rmtree(self._fetched / folder, ignore_errors=True)

    def path(self, name: str) -> Path:
        """Fetch a file, once in this process; raise SnapshotError where it is missing, TransientError where S3 fails.

        It is there under its name only when all of it is.
        """
        from botocore.exceptions import ClientError

        path = self._fetched / name
        if path.is_file():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}")
        with self._translated(name, "read"):
            try:
                self._client.download_file(self._bucket, f"{self._prefix}{name}", str(partial))
            except ClientError as error:
                if code_of(error) in _MISSING:
                    raise SnapshotError(
                        f"{self}/{name} is missing: what names it has seen it; restore it, from an older version of "
                        "the object where the bucket keeps them"
                    ) from error
                raise self._why(name, error) from error
            except OSError as error:
                raise SnapshotError(
                    f"{self}/{name} cannot be fetched into {path.parent}: {error.strerror or error}; make room there, "
                    "or name another folder in TMPDIR"
                ) from error
        return partial.replace(path)

    def _why(self, name: str, error: Any) -> Any:
        """Return what S3 answers to a GET, where all that is known is the number that it answered to a HEAD."""
        from botocore.exceptions import ClientError

        if code_of(error).isdecimal():
            try:
                self._client.get_object(**self._object(name), Range="bytes=0-0")
            except ClientError as why:
                return why
        return error

    def _upload(self, name: str, file: IO[bytes]) -> None:
        file.seek(0)
        options = {"ContentType": _TYPES.get(Path(name).suffix, "application/octet-stream")}
        with self._translated(name, "written"):
            self._client.upload_fileobj(file, self._bucket, f"{self._prefix}{name}", ExtraArgs=options)

    def _object(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": f"{self._prefix}{name}"}

    @contextmanager
    def _translated(self, name: str, what: str) -> Iterator[None]:
        from boto3.exceptions import RetriesExceededError, S3UploadFailedError
        from botocore.exceptions import ClientError

        with translated(f"{self}/{name} cannot be {what}", self._credentials, _RIGHTS, kind=SnapshotError):
            try:
                yield
            except S3UploadFailedError as error:  # boto3 wraps what S3 has answered
                if isinstance(error.__context__, ClientError):
                    raise error.__context__ from None
                raise SnapshotError(f"{self}/{name} cannot be {what}: {error}") from error
            except RetriesExceededError as error:  # an answer that broke off, again and again
                raise TransientError(f"{self}/{name} cannot be {what}: {error.last_exception}") from error


def open_s3(uri: str, conn_id: str | None) -> S3Store:
    """Return the store at s3://BUCKET/PREFIX, with the credentials of a connection of Airflow's amazon provider.

    Raises CredentialsError where the connection is not declared, SnapshotError where it cannot be used.
    """
    parts, credentials = urlsplit(uri), source_of(conn_id)
    if not parts.netloc:
        raise DeploymentError(f"{uri!r} must be s3://BUCKET/PREFIX")
    what = f"{uri} cannot be opened"
    try:
        with translated(what, credentials, _RIGHTS, kind=SnapshotError):
            s3 = client("s3", conn_id)
    except ValueError as error:  # an endpoint or a setting that boto3 refuses
        raise SnapshotError(f"{what}: {error} (credentials of {credentials}); correct the connection") from error
    return S3Store(s3, parts.netloc, parts.path, credentials)
