"""Documents are whole at every moment, on disk and on S3, and nobody writes over what he has not read."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.data import documents
from shadow_deployment.data.documents import DocumentChangedError, FileDocument, open_file, revise
from shadow_deployment.errors import CredentialsError, DeploymentError, RegistryError, ShadowError, TransientError
from shadow_deployment.integrations import aws
from shadow_deployment.integrations.aws import S3Document, open_document
from shadow_deployment.promotion import registry, status
from tests import receivers
from tests.conftest import PROJECT as FOLDER
from tests.conftest import Invoke, declare
from tests.faults.moments import dying
from tests.integration.promotion.test_registry import by, judge, settings
from tests.production import World

OLD, NEW = b'{"old": 1}\n', b'{"new": 2}\n'
SECRET = "neverToBeSeenInAnyText"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shared" / "status.json"


def beside(path: Path) -> set[str]:
    return {one.name for one in path.parent.iterdir()} - {path.name, f".{path.name}.lock"}


def refusal(call: Callable[[], object], error: type[Exception] = RegistryError) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_a_file_is_made_with_its_folder_and_can_be_read_by_all(path: Path) -> None:
    document = FileDocument(path)
    assert document.read() == (None, None)
    document.replace(NEW, None)
    content, tag = document.read()
    assert (content, path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (NEW, NEW, 0o644)
    document.replace(OLD, tag)
    assert path.read_bytes() == OLD
    assert beside(path) == set()


@pytest.mark.parametrize("seen", ["stale", "none", "gone"])
def test_who_has_not_read_the_newest_content_is_refused(path: Path, seen: str) -> None:
    document = FileDocument(path)
    document.replace(OLD, None)
    tag = document.read()[1] if seen != "none" else None
    if seen == "stale":
        path.write_bytes(NEW)
    elif seen == "gone":
        path.unlink()
    with pytest.raises(DocumentChangedError):
        document.replace(b"mine", tag)
    left = {"stale": NEW, "none": OLD, "gone": None}[seen]
    assert (path.read_bytes() if path.exists() else None) == left
    assert beside(path) == set()


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_an_existing_file_keeps_its_mode_and_owner(path: Path, mode: int) -> None:
    path.parent.mkdir()
    path.write_bytes(OLD)
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, 4321, 8765)
    before = path.stat()
    document = FileDocument(path)
    document.replace(NEW, document.read()[1])
    after = path.stat()
    assert (path.read_bytes(), stat.S_IMODE(after.st_mode)) == (NEW, mode)
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


@pytest.mark.parametrize("kind", ["link", "dangling", "folder", "pipe"])
def test_what_is_no_regular_file_is_neither_read_nor_replaced(path: Path, kind: str) -> None:
    path.parent.mkdir()
    target = path.with_name("target")
    if kind == "link":
        target.write_bytes(OLD)
    {
        "link": lambda: path.symlink_to(target),
        "dangling": lambda: path.symlink_to(target),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
    }[kind]()
    for call in (FileDocument(path).read, lambda: FileDocument(path).replace(NEW, None)):
        said = refusal(call)
        assert f"{path} must be a regular file, or not be there, but is a" in said
    assert (target.read_bytes() if target.exists() else None) == (OLD if kind == "link" else None)
    assert stat.S_IFMT(path.lstat().st_mode) != stat.S_IFREG


def test_leftovers_of_killed_processes_are_swept_and_those_of_neighbours_stay(path: Path) -> None:
    path.parent.mkdir()
    mine, others = f".{path.name}.a1b2c3_d.tmp", {f".{path.name}.old.a1b2c3_d.tmp", f".{path.name}.swp", ".other"}
    for name in (mine, *others):
        path.with_name(name).write_bytes(b"half")
    FileDocument(path).replace(NEW, None)
    assert beside(path) == others


def test_a_failure_leaves_the_file_as_it_was_and_says_why(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = FileDocument(path)
    document.replace(OLD, None)
    tag = document.read()[1]

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert f"{path} cannot be written: No space left on device" in refusal(lambda: document.replace(NEW, tag))
    assert (path.read_bytes(), beside(path)) == (OLD, set())
    below = FileDocument(path / "below.json")
    assert "cannot be read: Not a directory" in refusal(below.read)
    assert "cannot be written:" in refusal(lambda: below.replace(NEW, None))


def test_a_program_that_takes_no_lock_is_seen_until_the_renaming(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document, fsync = FileDocument(path), os.fsync
    document.replace(OLD, None)
    tag = document.read()[1]

    def slow(descriptor: int) -> None:
        path.write_bytes(b"theirs")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    with pytest.raises(DocumentChangedError):
        document.replace(NEW, tag)
    assert (path.read_bytes(), beside(path)) == (b"theirs", set())


def hold(path: Path, ready: Any, done: Any) -> None:
    with FileDocument(path)._locked():
        ready.set()
        done.wait(30)


def count(path: Path, times: int) -> None:
    for _ in range(times):
        revise(FileDocument(path), lambda content: str(int(content or 0) + 1).encode())


def write(path: Path, fault: tuple[str, str, str] | None) -> None:
    if fault is not None:
        dying({"os": os, "Path": Path}[fault[0]], *fault[1:], 1)
    revise(FileDocument(path), lambda content: NEW)


def test_processes_that_write_at_once_lose_nothing(path: Path, processes: ForkServerContext) -> None:
    path.parent.mkdir()
    crowd = [processes.Process(target=count, args=(path, 20)) for _ in range(4)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join(60)
    assert [one.exitcode for one in crowd] == [0] * 4
    assert (path.read_bytes(), beside(path)) == (b"80", set())


def test_a_lock_that_is_held_for_too_long_is_worth_another_try(
    path: Path, processes: ForkServerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    ready, done = processes.Event(), processes.Event()
    holder = processes.Process(target=hold, args=(path, ready, done))
    holder.start()
    assert ready.wait(30)
    monkeypatch.setattr(documents, "PATIENCE", 0.2)
    said = refusal(lambda: FileDocument(path).replace(NEW, None), TransientError)
    assert f"another process has held {path.parent}/.{path.name}.lock for 0.2 s" in said
    holder.kill()  # the kernel gives the lock back
    holder.join(30)
    FileDocument(path).replace(NEW, None)
    assert path.read_bytes() == NEW


@pytest.mark.parametrize(
    ("where", "name", "when"),
    [("os", "fsync", "before"), ("os", "fsync", "after"), ("Path", "replace", "before"), ("Path", "replace", "after")],
)
def test_killed_anywhere_the_file_is_the_old_or_the_new_one_and_the_next_run_ends_it(
    path: Path, processes: ForkServerContext, where: str, name: str, when: str
) -> None:
    path.parent.mkdir()
    path.write_bytes(OLD)
    endings = []
    for fault in ((where, name, when), None):
        process = processes.Process(target=write, args=(path, fault))
        process.start()
        process.join(60)
        endings.append((process.exitcode, path.read_bytes()))
    assert endings == [(-signal.SIGKILL, NEW if (name, when) == ("replace", "after") else OLD), (0, NEW)]
    assert beside(path) == set()


def test_what_does_not_change_is_not_written(path: Path) -> None:
    document = FileDocument(path)
    assert revise(document, lambda content: NEW) is True
    before = path.stat()
    assert revise(document, lambda content: content or b"") is False
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_who_is_overtaken_is_asked_again_about_the_new_content(path: Path) -> None:
    document = FileDocument(path)
    document.replace(b"0", None)
    seen: list[bytes | None] = []

    def change(content: bytes | None) -> bytes:
        seen.append(content)
        if len(seen) < 3:
            path.write_bytes(b"theirs %d" % len(seen))
        return (content or b"") + b", mine"

    assert revise(document, change) is True
    assert seen == [b"0", b"theirs 1", b"theirs 2"]
    assert path.read_bytes() == b"theirs 2, mine"


def test_who_is_overtaken_all_the_time_gives_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents.time, "sleep", lambda seconds: None)
    document, numbers = FileDocument(path), iter(range(1000))

    def change(content: bytes | None) -> bytes:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(str(next(numbers)).encode())
        return b"mine"

    assert "was written by others during each of 12 attempts" in refusal(
        lambda: revise(document, change), TransientError
    )
    assert path.read_bytes() != b"mine"


def test_a_file_is_named_by_path_or_uri() -> None:
    assert open_file("file:///var/lib/a%20b.json").path == Path("/var/lib/a b.json")
    assert open_file("/var/lib/a.json").path == Path("/var/lib/a.json")
    assert open_file("published/a.json").path == PROJECT / "published" / "a.json"
    for uri in ("file://host/a.json", "http://host/a.json", "a.json#1", "a.json?x"):
        assert repr(uri) in refusal(lambda uri=uri: open_file(uri), DeploymentError)  # type: ignore[misc]


def test_without_an_opener_for_s3_the_place_is_refused_with_its_key(worlds: Callable[..., World]) -> None:
    world = worlds()
    uri = "s3://bucket/champion.json"
    shadow = world.shadow(**settings(world, promotion={"manifest": uri}, status={"file": uri}))
    judge(shadow, 0, "PASS")
    said = refusal(lambda: registry.promote(shadow, "other", **by("ada")), DeploymentError)
    assert f"promotion.manifest == {uri!r} is not written" in said
    assert "shadow_deployment.integrations.cloud" in said
    said = refusal(lambda: status.update(shadow), DeploymentError)
    assert f"status.file == {uri!r} is not written" in said


def test_neither_the_command_line_nor_the_opener_imports_airflow_before_s3_is_used() -> None:
    program = "import sys, shadow_deployment.cli.main, shadow_deployment.integrations.cloud as cloud; "
    program += "cloud.TerminalCloud().document('/a/b', None); "
    program += "sys.exit(' '.join({'airflow', 'boto3', 'botocore', 'httpx'} & set(sys.modules)) or 0)"
    ended = subprocess.run([sys.executable, "-c", program], check=False, cwd=FOLDER, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of an S3 that lives in memory."""
    with receivers.aws() as found:
        yield found


def declared(endpoint: str, **extra: Any) -> str:
    fields = {"endpoint_url": endpoint, "region_name": "eu-central-1", **extra}
    return json.dumps({"conn_type": "aws", "login": "AKIAEXAMPLE", "password": SECRET, "extra": fields})


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A bucket of this test's own, as boto3 sees it, that the connection store_aws leads to."""
    import boto3

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_CONN_STORE_AWS", declared(endpoint))
    name = f"bucket-{abs(hash(request.node.nodeid))}"
    made = boto3.resource(
        "s3", endpoint_url=endpoint, region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b"
    ).Bucket(name)
    made.create(CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return made


def content(bucket: Any, key: str) -> bytes:
    return bytes(bucket.Object(key).get()["Body"].read())


def test_an_object_is_compared_and_set_by_s3_itself(bucket: Any) -> None:
    uri = f"s3://{bucket.name}/a folder/champion.json"
    mine, theirs = open_document(uri, "store_aws"), open_document(uri, "store_aws")
    assert str(mine) == uri
    assert mine.read() == theirs.read() == (None, None)
    mine.replace(OLD, None)
    with pytest.raises(DocumentChangedError):
        theirs.replace(b"theirs", None)
    seen, tag = theirs.read()
    assert (seen, content(bucket, "a folder/champion.json")) == (OLD, OLD)
    mine.replace(NEW, mine.read()[1])
    with pytest.raises(DocumentChangedError):
        theirs.replace(b"theirs", tag)
    tag = theirs.read()[1]
    bucket.Object("a folder/champion.json").delete()
    with pytest.raises(DocumentChangedError):
        theirs.replace(b"theirs", tag)
    assert list(bucket.objects.all()) == []


def test_an_object_that_is_overtaken_keeps_what_both_have_written(bucket: Any) -> None:
    document, other = (open_document(f"s3://{bucket.name}/a", "store_aws") for _ in range(2))
    seen: list[bytes | None] = []

    def change(found: bytes | None) -> bytes:
        seen.append(found)
        if len(seen) == 1:
            revise(other, lambda _: b"theirs")
        return (found or b"") + b", mine"

    assert revise(document, change) is True
    assert (seen, content(bucket, "a")) == ([None, b"theirs"], b"theirs, mine")
    assert revise(document, lambda found: found or b"") is False


def test_an_object_keeps_its_type_and_metadata_and_a_new_one_is_json(bucket: Any) -> None:
    bucket.put_object(Key="a", Body=OLD, ContentType="text/x", CacheControl="no-cache", Metadata={"owner": "ada"})
    for key in ("a", "b"):
        revise(open_document(f"s3://{bucket.name}/{key}", "store_aws"), lambda _: NEW)
    kept, made = bucket.Object("a").get(), bucket.Object("b").get()
    assert (kept["ContentType"], kept["CacheControl"], kept["Metadata"]) == ("text/x", "no-cache", {"owner": "ada"})
    assert (made["ContentType"], content(bucket, "a")) == ("application/json", NEW)


def test_what_keeps_s3_from_being_used_is_said(bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(open_document("s3://no-such-bucket-here/a", "store_aws").read)
    assert "s3://no-such-bucket-here/a cannot be read: NoSuchBucket" in said
    assert "credentials of connection store_aws); create the bucket, or correct its name" in said
    assert "connection nowhere is not declared" in refusal(
        lambda: open_document("s3://bucket/a", "nowhere"), CredentialsError
    )
    assert "correct the address" in refusal(open_document("s3://a+b/a", "store_aws").read)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    said = refusal(open_document(f"s3://{bucket.name}/a", None).read)
    assert "Unable to locate credentials" in said
    assert "declare them in the connection that conn_id names" in said
    monkeypatch.setenv("AIRFLOW_CONN_STORE_AWS", declared("no address"))
    assert "correct the connection" in refusal(lambda: open_document("s3://bucket/a", "store_aws"))


def test_a_server_that_is_not_there_or_does_not_answer_is_worth_another_try(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = {"connect_timeout": 1, "read_timeout": 0.2, "retries": {"total_max_attempts": 1}}
    monkeypatch.setattr(aws, "PATIENCE", once)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("AIRFLOW_CONN_STORE_AWS", declared(address))
        document = open_document("s3://bucket/a", "store_aws")
        assert "Could not connect to the endpoint" in refusal(document.read, TransientError)
        silent.listen()
        assert "timeout" in refusal(lambda: document.replace(NEW, None), TransientError)


def test_the_connections_own_settings_win(endpoint: str, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"s3": {"addressing_style": "virtual"}, "read_timeout": 7}
    monkeypatch.setenv("AIRFLOW_CONN_STORE_AWS", declared(endpoint, config_kwargs=settings))
    document = open_document("s3://bucket/a", "store_aws")
    assert isinstance(document, S3Document)
    config = document._client.meta.config
    assert (config.s3["addressing_style"], config.read_timeout, config.connect_timeout) == ("virtual", 7, 5)


ANSWERS: list[tuple[str, int, type[ShadowError], str]] = [
    ("AccessDenied", 403, RegistryError, "allow s3:GetObject and s3:PutObject"),
    ("ExpiredToken", 400, RegistryError, "renew the session's credentials"),
    ("InvalidAccessKeyId", 403, RegistryError, "correct the access key"),
    ("SignatureDoesNotMatch", 403, RegistryError, "correct the access key"),
    ("RequestTimeTooSkewed", 403, RegistryError, "clock"),
    ("NotImplemented", 501, RegistryError, "conditional writes"),
    ("SomethingNew", 418, RegistryError, "SomethingNew: as AWS says"),
    ("SlowDown", 503, TransientError, "SlowDown"),
    ("RequestTimeout", 400, TransientError, "RequestTimeout"),
    ("TooMany", 429, TransientError, "TooMany"),
    ("InternalError", 500, TransientError, "InternalError"),
]


@pytest.mark.parametrize(("code", "http", "error", "said"), ANSWERS, ids=[one[0] for one in ANSWERS])
@pytest.mark.parametrize("method", ["get_object", "put_object"])
def test_each_refusal_of_s3_says_what_to_do_and_whether_to_try_again(
    code: str, http: int, error: type[ShadowError], said: str, method: str
) -> None:
    document, stubber = stubbed()
    stubber.add_client_error(method, code, "as AWS says", http)
    with stubber:
        read = method == "get_object"
        text = refusal(document.read if read else lambda: document.replace(NEW, '"tag"'), error)
    assert f"s3://bucket/key cannot be {'read' if read else 'written'}: {code}: as AWS says" in text
    assert said in text
    assert "credentials of connection store_aws" in text


@pytest.mark.parametrize(
    ("code", "http"), [("PreconditionFailed", 412), ("ConditionalRequestConflict", 409), ("NoSuchKey", 404)]
)
def test_each_word_of_s3_for_a_lost_race_is_understood(code: str, http: int) -> None:
    document, stubber = stubbed()
    stubber.add_client_error("put_object", code, "as AWS says", http)
    with stubber, pytest.raises(DocumentChangedError):
        document.replace(NEW, '"tag"')


def stubbed() -> tuple[S3Document, Stubber]:
    import boto3

    client = boto3.client("s3", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key=SECRET)
    return S3Document(client, "bucket", "key", "connection store_aws"), Stubber(client)


@pytest.fixture
def published(worlds: Callable[..., World], bucket: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose manifest and status file are in the bucket, and whose challenger passes."""
    world = declare(worlds(), monkeypatch)
    where = {"manifest": f"s3://{bucket.name}/late/champion.json", "conn_id": "store_aws"}
    told = {"file": f"s3://{bucket.name}/master.json", "conn_id": "store_aws"}
    judge(world.shadow(**settings(world, promotion=where, status=told)), 0, "PASS")
    return world


def test_a_promotion_is_published_to_s3_and_the_command_line_says_so(
    published: World, bucket: Any, invoke: Invoke, caplog: pytest.LogCaptureFixture
) -> None:
    words = ("--challenger", "other", "--approved-by", "ada", "--reason", "it is better", "--yes")
    assert invoke("promote", "late", *words)[0] == 0
    manifest = json.loads(content(bucket, "late/champion.json"))
    assert (manifest["champion"]["name"], manifest["number"], manifest["approved_by"]) == ("other", 1, "ada")
    bucket.Object("late/champion.json").delete()
    code, out, err = invoke("champion", "late", "--publish", "--json")
    assert (code, json.loads(out)["name"]) == (0, "other")
    assert json.loads(content(bucket, "late/champion.json")) == manifest
    code, out, _ = invoke("champion", "late", "--publish")
    assert f"wrote s3://{bucket.name}/late/champion.json" in out
    assert SECRET not in f"{out}{err}{caplog.text}"


def test_the_status_file_on_s3_keeps_what_others_have_there(published: World, bucket: Any, invoke: Invoke) -> None:
    theirs = '{\n "recommendations": [\n  {"id": "é", "score": 1.10}\n ]\n}'
    bucket.put_object(Key="master.json", Body=theirs.encode())
    code, out, _ = invoke("status", "late", "--write")
    assert (code, "wrote s3://" in out) == (0, True)
    written = content(bucket, "master.json").decode()
    assert written.startswith(theirs.removesuffix("\n ]\n}"))
    entries = {one["id"]: one for one in json.loads(written)["recommendations"]}
    assert (list(entries), entries["late/other"]["shadow"]["status"]) == (["é", "late/other", "late/linear"], "passed")
    assert "nothing to change" in invoke("status", "late", "--write")[1]
