"""A status file gets an entry of ours and keeps what is of others, whatever happens while it is written."""

import json
import logging
import os
import re
import signal
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from shadow_deployment.config import discovery
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import environment
from shadow_deployment.data.documents import FileDocument, revise
from shadow_deployment.errors import DeploymentError, RegistryError
from shadow_deployment.promotion import registry, status
from tests.conftest import Invoke, declare
from tests.faults.moments import dying
from tests.integration.promotion.promoting import by, judge, settings
from tests.integration.promotion.status.entries import deployed, file_of, standing
from tests.production import World, day

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")


def test_a_file_that_is_not_there_is_made(shadow: DeploymentContext) -> None:
    judge(shadow, 0, "PASS")
    assert status.update(shadow) is True
    path = file_of(shadow)
    written = json.loads(path.read_text())
    assert [one["id"] for one in written["recommendations"]] == ["late/other", "late/linear"]
    ours = written["recommendations"][0]["shadow"]
    assert ours == standing(shadow).content
    assert list(ours) == [
        *("deployment", "challenger", "version", "status", "since"),
        *("day", "outcome", "reason", "approved_by", "promotion", "newer_versions"),
    ]
    assert (ours["day"], ours["status"]) == (str(day(0)), "passed")
    assert path.read_text() == json.dumps(written, indent=2) + "\n"
    before = path.stat()
    assert status.update(shadow) is False
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_the_key_and_the_entries_are_those_of_the_deployment_file_and_none_is_added_to_those_of_others(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    shadow = deployed(world, status={"key": "models", "ids": {"other": "17"}})
    path = file_of(shadow)
    path.parent.mkdir()
    path.write_text('{"recommendations": [], "models": [{"id": 17, "score": 0.50}]}')
    status.update(shadow)
    written = json.loads(path.read_text())
    assert [(one["id"], "shadow" in one) for one in written["models"]] == [(17, True)]
    assert f"deployment late: {path} has no entry with the id 'late/linear', its ids are '17'" in caplog.text
    assert written["recommendations"] == []
    assert '"score": 0.50' in path.read_text()


def test_the_entrys_own_status_is_in_the_words_of_its_owner(world: World) -> None:
    words = {"field": "status", "values": {"in_shadow": "IN PROGRESS", "promoted": "DEPLOYED"}}
    shadow = deployed(world, status={"ids": {"other": "rec_17"}, **words})
    path = file_of(shadow)
    path.parent.mkdir()
    path.write_text('[{"id": "rec_17", "title": "Shadow deployment", "status": "PLANNED"}]')

    def entry() -> dict[str, Any]:
        status.update(shadow)
        return dict(json.loads(path.read_text())[0])

    assert (entry()["status"], entry()["title"]) == ("IN PROGRESS", "Shadow deployment")
    judge(shadow, 0, "PASS")
    assert (entry()["status"], entry()["shadow"]["status"]) == (
        "passed",
        "passed",
    )  # a status without a word of its own
    registry.promote(shadow, "other", **by("ada"), force=True)
    assert (entry()["status"], entry()["shadow"]["status"]) == ("DEPLOYED", "promoted")
    before = path.read_bytes()
    assert status.update(shadow) is False
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"field": "id"}, r"status\.field == 'id', must not be id or shadow"),
        ({"field": "status", "values": {"passd": "x"}}, r"status\.values.*passd"),
    ],
)
def test_words_that_cannot_be_written_are_refused(world: World, words: dict[str, Any], message: str) -> None:
    with pytest.raises(DeploymentError, match=message):
        deployed(world, status=words)


def test_two_challengers_in_one_entry_are_refused(world: World) -> None:
    shadow = deployed(world, status={"ids": {"other": "late/linear"}})
    with pytest.raises(DeploymentError, match=r"status\.ids\.other == 'late/linear' is also the entry of linear"):
        status.update(shadow)
    assert not file_of(shadow).exists()
    with pytest.raises(DeploymentError, match=r"status\.ids\.linear == 'one', duplicates status\.ids\.\w+"):
        deployed(world, status={"ids": {"other": "one", "linear": "one"}})


def test_without_a_status_file_nothing_is_done(world: World) -> None:
    assert status.update(world.shadow(**settings(world))) is False


BAD: list[tuple[str, bytes, str]] = [
    ("no json", b'{"recommendations": [}', "is not JSON: Expecting value in line 1, column 22"),
    ("empty", b"", "is not JSON: Expecting value in line 1, column 1"),
    ("two texts", b"[] []", "is not JSON: Extra data"),
    ("no utf-8", b'{"recommendations": ["\xff"]}', "is not JSON: byte 22 is not UTF-8"),
    ("duplicate", b'{"recommendations": [{"id": "x", "a": {"k": 1, "k": 2}}]}', "has the key 'k' twice in one object"),
    ("no such key", b'{"other": [], "x": 1}', "has no key 'recommendations', its keys are 'other', 'x'"),
    (
        "no list",
        b'{"recommendations": {"id": "late/other"}}',
        "has under 'recommendations' no list, must be a list of entries",
    ),
    (
        "text",
        b'"recommendations"',
        "is no list, must be a list of entries or an object with one under 'recommendations'",
    ),
    ("no object", b'{"recommendations": [{"id": "a"}, 7]}', "has no object with an id as entry 2 of its list"),
    ("no id", b'[{"name": "a"}]', "has no object with an id as entry 1 of its list"),
    ("null id", b'[{"id": null}]', "has no object with an id as entry 1 of its list"),
    ("twice", b'[{"id": "late/other"}, {"id": "late/other"}]', "has 2 entries with the id 'late/other', must have one"),
    ("deep", b"[" * 200_000, "is nested too deeply"),
]


@pytest.mark.parametrize(("content", "message"), [one[1:] for one in BAD], ids=[one[0] for one in BAD])
def test_a_file_of_another_shape_is_refused_and_stays_as_it_is(
    shadow: DeploymentContext, content: bytes, message: str
) -> None:
    path = file_of(shadow)
    path.parent.mkdir()
    path.write_bytes(content)
    before = path.stat().st_mtime_ns
    with pytest.raises(RegistryError) as caught:
        status.update(shadow)
    assert f"deployment late: status.file == '{path}' is not written: {path} {message}" in str(caught.value)
    assert "shadow status late --write" in str(caught.value)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (content, before)


NUMBERS = ("1.10", "1e400", "-0.0", "1E+2", "123456789012345678901234567890", "9" * 6000, "0.1000000000000000055511")


def test_numbers_stay_as_they_are_written(shadow: DeploymentContext) -> None:
    path = file_of(shadow)
    path.parent.mkdir()
    numbers = '"n": [' + ", ".join(NUMBERS) + '], "e": "é"'
    theirs = '\ufeff{"recommendations": [{"id": "late/other", ' + numbers + '}], "z": 1.0}\n'
    path.write_bytes(theirs.encode())
    status.update(shadow)
    written = path.read_bytes().decode()
    assert written.startswith(theirs.partition("}]")[0])
    assert written.endswith('], "z": 1.0}\n')
    ours = re.sub(r', "shadow": \{.*?\}', "", written)
    assert ours == theirs


def test_who_is_overtaken_reads_the_ledger_again_and_loses_nothing_of_the_others(
    shadow: DeploymentContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is slow to write must not put an older verdict over a newer one, nor over others' entries."""
    judge(shadow, 0, "PASS")
    standings, calls = status.statuses, []

    def slow(one: DeploymentContext) -> list[status.RecordedStatus]:
        found = standings(one)
        calls.append(found[0].status)
        if len(calls) == 1:
            registry.promote(shadow, "other", **by("ada"))
            status.update(shadow)
            revise(
                FileDocument(file_of(shadow)),
                lambda content: (content or b"").replace(
                    b'"recommendations": [', b'"recommendations": [{"id": "theirs", "x": 1},'
                ),
            )
        return found

    monkeypatch.setattr(status, "statuses", slow)
    assert status.update(shadow) is False
    assert calls == ["passed", "promoted", "promoted"]
    written = {one["id"]: one for one in json.loads(file_of(shadow).read_text())["recommendations"]}
    assert (written["late/other"]["shadow"]["status"], written["theirs"]["x"]) == ("promoted", 1)


def program(variables: dict[str, str], fault: tuple[str, str] | None) -> None:
    os.environ.update(variables)
    shadow = DeploymentContext(discovery.find_deployment("late"), environment)
    if fault is not None:
        dying(Path, *fault, 1)
    status.update(shadow)


@pytest.mark.parametrize("fault", [("replace", "before"), ("replace", "after")], ids=lambda fault: fault[1])
def test_killed_anywhere_the_file_is_whole_and_the_next_run_ends_it(
    world: World, shadow: DeploymentContext, processes: ForkServerContext, fault: tuple[str, str]
) -> None:
    judge(shadow, 0, "PASS")
    path = file_of(shadow)
    path.parent.mkdir()
    path.write_text("[]\n")
    endings = []
    for one in (fault, None):
        process = processes.Process(target=program, args=(world.variables(), one))
        process.start()
        process.join(300)
        endings.append((process.exitcode, len(json.loads(path.read_text()))))
    assert endings == [(-signal.SIGKILL, 2 if fault[1] == "after" else 0), (0, 2)]
    assert {one.name for one in path.parent.iterdir()} == {path.name, f".{path.name}.lock"}


def test_a_failure_to_write_is_logged_and_changes_nothing(
    world: World, shadow: DeploymentContext, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_of(shadow).mkdir(parents=True)
    before = world.dump()
    status.update_quietly(shadow)
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.ERROR, None)
    assert "status.file == " in record.getMessage()
    assert "must be a regular file" in record.getMessage()
    monkeypatch.setattr(status, "update", lambda one: 1 / 0)
    status.update_quietly(shadow)
    assert (caplog.records[-1].levelno, "division by zero" in caplog.text) == (logging.ERROR, True)
    assert world.dump() == before


def test_the_command_shows_and_writes(
    world: World, shadow: DeploymentContext, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(world, monkeypatch)
    judge(shadow, 0, "PASS")
    registry.promote(shadow, "other", **by("ada", "it is better [really]"))
    code, out, _ = invoke("status", "late")
    shown = " ".join(out.split())
    assert (code, file_of(shadow).exists()) == (0, False)
    assert "other 1 promoted" in shown
    assert f"PASS of {day(0)} it is better [really] (ada)" in shown
    assert "linear 2 in_shadow - - it was never judged" in shown
    code, out, _ = invoke("status", "late", "--json", "--write")
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines == [one.content for one in status.statuses(shadow)]
    written = json.loads(file_of(shadow).read_text())["recommendations"]
    assert [one["shadow"] for one in written] == lines
    assert "nothing to change in" in invoke("status", "late", "--write")[1]
    world.deploy(**settings(world))
    code, _, err = invoke("status", "late", "--write")
    assert (code, "status is not set" in err) == (1, True)
    assert invoke("status", "late")[0] == 0
