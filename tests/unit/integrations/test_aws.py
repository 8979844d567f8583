"""What AWS answers is either worth another try or is for a person to mend."""

import pytest
from botocore.exceptions import ClientError

from shadow_deployment.errors import RegistryError, TransientError
from shadow_deployment.integrations.aws import translated


def answered(code: str, status: int) -> None:
    with translated("s3://bucket/key cannot be read", "connection aws"):
        raise ClientError(
            {"Error": {"Code": code, "Message": "so it is"}, "ResponseMetadata": {"HTTPStatusCode": status}},
            "GetObject",
        )


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("RequestTimeout", 400),
        ("SlowDown", 400),
        ("Throttling", 400),
        ("ThrottlingException", 400),
        ("TooManyRequestsException", 400),
        ("429", 400),
        ("AnyOther", 429),
        ("InternalError", 500),
        ("503", 503),
    ],
)
def test_who_is_asked_to_wait_tries_again(code: str, status: int) -> None:
    with pytest.raises(TransientError, match=f"^s3://bucket/key cannot be read: {code}: so it is"):
        answered(code, status)


@pytest.mark.parametrize(
    ("code", "status", "remedy"),
    [
        ("AccessDenied", 403, "allow s3:GetObject"),
        ("NoSuchBucket", 404, "create the bucket"),
        ("NotImplemented", 501, "take a store that knows conditional writes"),
        ("AnyOther", 400, "see what AWS says of this code"),
    ],
)
def test_what_no_other_try_mends_says_what_does(code: str, status: int, remedy: str) -> None:
    with pytest.raises(RegistryError, match=f"{code}: so it is .*; {remedy}"):
        answered(code, status)
