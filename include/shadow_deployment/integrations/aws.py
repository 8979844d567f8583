"""Documents on S3, and AWS's clients, through Airflow's amazon provider, which is imported where it is first used."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from shadow_deployment.base.redaction import first_line
from shadow_deployment.data.documents import Document, DocumentChangedError, open_file
from shadow_deployment.errors import PermanentError, RegistryError, ShadowError, TransientError

PATIENCE = {"connect_timeout": 5, "read_timeout": 20, "retries": {"mode": "standard", "total_max_attempts": 4}}
JSON = {"ContentType": "application/json"}
_KEPT = ("ContentType", "CacheControl", "ContentDisposition", "ContentLanguage", "Metadata")
_CHANGED = {"PreconditionFailed", "ConditionalRequestConflict", "OperationAborted", "412"}
_MISSING = {"NoSuchKey", "404"}
_AGAIN = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequestsException", "429"}
_RENEW = "renew the session's credentials"
_CREDENTIALS = "correct the access key and the secret"
_RIGHTS = (
    "allow s3:GetObject and s3:PutObject on the object, and s3:ListBucket on the bucket, without which S3 says this of "
    "an object that is not there yet"
)
_REMEDIES = {
    "NoSuchBucket": "create the bucket, or correct its name",
    "ExpiredToken": _RENEW,
    "ExpiredTokenException": _RENEW,
    "InvalidToken": _RENEW,
    "InvalidClientTokenId": _CREDENTIALS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "RequestTimeTooSkewed": "set this machine's clock",
    "PermanentRedirect": "set region_name to the bucket's region",
    "AuthorizationHeaderMalformed": "set region_name to the bucket's region",
    "NotImplemented": "take a store that knows conditional writes (If-Match), as S3 does",
}
_DENIED = ("AccessDenied", "AccessDeniedException", "Forbidden", "403")
_UNFOUND = "declare them in the connection that conn_id names, in the environment, or as the machine's role"


class S3Document:
    """A document that is an object on S3; its tag is the ETag, and S3 itself compares and sets.

    An object that is there keeps its content type and its own metadata; tags of the object are lost, as with every
    PutObject. `client` is boto3's for S3, and `credentials` names where they come from.
    """

    def __init__(self, client: Any, bucket: str, key: str, credentials: str) -> None:
        self._client = client
        self._object = {"Bucket": bucket, "Key": key}
        self._credentials = credentials
        self._kept: dict[str, Any] = JSON

    def __str__(self) -> str:
        return f"s3://{self._object['Bucket']}/{self._object['Key']}"

    def read(self) -> tuple[bytes | None, str | None]:
        """Return content and ETag; raise RegistryError or TransientError where it cannot be read."""
        from botocore.exceptions import ClientError

        with translated(f"{self} cannot be read", self._credentials):
            try:
                response = self._client.get_object(**self._object)
            except ClientError as error:
                if code_of(error) not in _MISSING:
                    raise
                self._kept = JSON
                return None, None
            content: bytes = response["Body"].read()
        self._kept = {name: response[name] for name in _KEPT if response.get(name)}
        return content, str(response["ETag"])

    def replace(self, content: bytes, tag: str | None) -> None:
        """Write it whole, if it is still what was read: raise DocumentChangedError where it is not.

        Raises RegistryError or TransientError where it cannot be written. After a TransientError it may have been
        written all the same: the answer was lost.
        """
        from botocore.exceptions import ClientError

        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        with translated(f"{self} cannot be written", self._credentials):
            try:
                self._client.put_object(**self._object, Body=content, **self._kept, **condition)
            except ClientError as error:
                if code_of(error) in _CHANGED or (tag is not None and code_of(error) in _MISSING):
                    raise DocumentChangedError(str(self)) from error
                raise


def open_document(uri: str, conn_id: str | None) -> Document:
    """Return the document at s3://BUCKET/KEY, a `file://` URI or a path.

    On S3 `conn_id` names a connection of Airflow's amazon provider; None takes the credentials that boto3 finds by
    itself. Raises CredentialsError where the connection is not declared, RegistryError where it cannot be used.
    """
    parts = urlsplit(uri)
    if parts.scheme != "s3":
        return open_file(uri)
    credentials, what = source_of(conn_id), f"{uri} cannot be opened"
    try:
        with translated(what, credentials):
            s3 = client("s3", conn_id)
    except ValueError as error:  # an endpoint or a setting that boto3 refuses
        raise RegistryError(f"{what}: {error} (credentials of {credentials}); correct the connection") from error
    return S3Document(s3, parts.netloc, parts.path.removeprefix("/"), credentials)


def source_of(conn_id: str | None) -> str:
    """Return where the credentials come from, as errors name it."""
    return f"connection {conn_id}" if conn_id else "boto3's own search, as there is no conn_id"


def client(service: str, conn_id: str | None) -> Any:
    """Return boto3's client for a service, patient for a while; the connection's own settings win.

    None takes the credentials that boto3 finds by itself. Raises CredentialsError where the connection is not
    declared, boto3's own errors and ValueError where it cannot be used.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
    from botocore.config import Config

    from shadow_deployment.integrations.connections import airflow_connection

    if conn_id is not None:
        airflow_connection(conn_id)  # the hook would take other credentials for a connection that is not declared
    hook = AwsBaseHook(aws_conn_id=conn_id, client_type=service)
    return hook.get_client_type(config=Config(**PATIENCE).merge(hook.config))


def code_of(error: Any) -> str:
    """Return the code in which AWS names an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def translated(
    what: str, credentials: str, rights: str = _RIGHTS, *, kind: type[PermanentError] = RegistryError
) -> Iterator[None]:
    """Raise `kind` or TransientError for an error of boto3's; `rights` is what to allow where AWS denies it."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _answered(what, credentials, rights, error, kind) from error
    except BotoCoreError as error:
        raise _unanswered(what, credentials, error, kind) from error


def _answered(what: str, credentials: str, rights: str, error: Any, kind: type[PermanentError]) -> ShadowError:
    """Say what AWS has answered, and what to do about it."""
    code, status = code_of(error), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    message = error.response.get("Error", {}).get("Message") or f"HTTP {status}"
    text = f"{what}: {code}: {message} (credentials of {credentials})"
    remedies = _REMEDIES | dict.fromkeys(_DENIED, rights)
    if code in _AGAIN or status == 429 or (status >= 500 and code not in remedies):
        return TransientError(text)
    return kind(f"{text}; {remedies.get(code, 'see what AWS says of this code')}")


def _unanswered(what: str, credentials: str, error: Any, kind: type[PermanentError]) -> ShadowError:
    """Say why AWS was not asked, or has not answered."""
    from botocore import exceptions

    text = f"{what}: {first_line(error)} (credentials of {credentials})"
    match error:
        case exceptions.SSLError():
            return kind(f"{text}; correct the endpoint, or verify in the connection's extra")
        case exceptions.ConnectionError() | exceptions.HTTPClientError() | exceptions.IncompleteReadError():
            return TransientError(text)
        case exceptions.NoCredentialsError() | exceptions.PartialCredentialsError() | exceptions.ProfileNotFound():
            return kind(f"{text}; {_UNFOUND}")
        case exceptions.SSOError() | exceptions.TokenRetrievalError():
            return kind(f"{text}; {_RENEW}")
        case exceptions.ParamValidationError():
            return kind(f"{what}: {' '.join(str(error).split())}; correct the address")
    return kind(f"{text}; correct the connection")
