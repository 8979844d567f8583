"""What a status file says of each challenger, and that nothing else in it changes, whoever writes at the same time."""

import json
import logging
import os
import re
import signal
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_deployment.config import discovery
from shadow_deployment.config.actions import StatusName
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import environment
from shadow_deployment.data.documents import FileDocument, revise
from shadow_deployment.errors import DeploymentError, RegistryError
from shadow_deployment.ledger import predictions
from shadow_deployment.ledger.registry import approval_requests
from shadow_deployment.models.loading import model_digest
from shadow_deployment.promotion import registry, status
from shadow_deployment.promotion.json_entries import UnknownEntryError, new, set_keys
from tests.conftest import Invoke, declare
from tests.faults.moments import dying
from tests.integration.promotion.test_registry import ALWAYS, by, judge, settings
from tests.production import World, day

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")


@pytest.fixture
def world(worlds: Callable[..., World]) -> World:
    return worlds()


@pytest.fixture
def shadow(world: World) -> DeploymentContext:
    return deployed(world)


def deployed(world: World, **changes: Any) -> DeploymentContext:
    told = {"file": str(world.folder / "shared" / "master.json"), **changes.pop("status", {})}
    return world.shadow(**settings(world, status=told, promotion=ALWAYS, **changes))


def file_of(shadow: DeploymentContext) -> Path:
    assert shadow.deployment.status
    return Path(shadow.deployment.status.file)


def standing(shadow: DeploymentContext, name: str = "other") -> status.RecordedStatus:
    return next(one for one in status.statuses(shadow) if one.challenger == name)


def ask(
    shadow: DeploymentContext, answer: approval_requests.Answer | None = None, run_id: str = "run", name: str = "other"
) -> None:
    challenger = shadow.deployment.challenger(name)
    with shadow.ledger() as session:
        key = predictions.challenger_id(session, shadow.deployment, challenger, model_digest(challenger))
        about = {"topic": run_id, "day": day(0), "case_digest": run_id, "run_id": run_id}
        approval_requests.ask(session, shadow.deployment, challenger=key, **about)  # type: ignore[arg-type]
        if answer:
            newest = approval_requests.asked(session, shadow.deployment)[-1]
            approval_requests.answer(session, newest.id, answer, "bob" if answer == "rejected" else None, "not yet")


Step = Callable[[DeploymentContext], Any]


def judged(number: int, outcome: Any, name: str = "other") -> Step:
    return lambda shadow: judge(shadow, number, outcome, name)


def promoted(name: str = "other") -> Step:
    return lambda shadow: registry.promote(shadow, name, **by("ada", "at last"), force=True)


def rolled_back(shadow: DeploymentContext) -> None:
    registry.rollback(shadow, **by("cid", "complaints"))


def asked(answer: approval_requests.Answer | None = None, run_id: str = "run") -> Step:
    return lambda shadow: ask(shadow, answer, run_id)


STORIES: list[tuple[str, list[Step], dict[str, Any]]] = [
    ("nothing yet", [], {"status": "in_shadow", "since": None, "outcome": None, "reason": "it was never judged"}),
    ("open", [judged(0, "INCONCLUSIVE")], {"status": "in_shadow", "outcome": "INCONCLUSIVE", "day": day(0)}),
    ("passes", [judged(0, "PASS")], {"status": "passed", "outcome": "PASS", "reason": None, "approved_by": None}),
    ("fails", [judged(0, "PASS"), judged(1, "FAIL")], {"status": "failed", "reason": "as the test says"}),
    ("a past day is judged again", [judged(3, "FAIL"), judged(1, "PASS")], {"status": "failed", "day": day(3)}),
    ("a day is judged again", [judged(0, "PASS"), judged(0, "FAIL")], {"status": "failed", "outcome": "FAIL"}),
    ("asked", [judged(0, "PASS"), asked()], {"status": "asked", "reason": None}),
    ("asked, and passes on", [judged(0, "PASS"), asked(), judged(1, "PASS")], {"status": "asked", "day": day(1)}),
    ("asked, and fails", [judged(0, "PASS"), asked(), judged(1, "FAIL")], {"status": "failed"}),
    ("silence", [judged(0, "PASS"), asked("silence")], {"status": "passed"}),
    ("changed", [judged(0, "PASS"), asked("changed")], {"status": "passed"}),
    (
        "rejected, and passes on",
        [judged(0, "PASS"), asked("rejected"), judged(1, "PASS")],
        {"status": "rejected", "reason": "not yet", "approved_by": "bob", "outcome": "PASS", "promotion": None},
    ),
    (
        "rejected, and passes anew",
        [judged(0, "PASS"), asked("rejected"), judged(1, "INCONCLUSIVE"), judged(2, "PASS")],
        {"status": "passed"},
    ),
    ("asked again", [judged(0, "PASS"), asked("rejected"), asked(run_id="again")], {"status": "asked"}),
    (
        "asked again in vain",
        [judged(0, "PASS"), asked("rejected"), asked("silence", "again")],
        {"status": "passed"},
    ),
    (
        "promoted",
        [judged(0, "PASS"), promoted()],
        {"status": "promoted", "reason": "at last", "approved_by": "ada", "promotion": 1, "outcome": "PASS"},
    ),
    (
        "champion, judged against itself and asked about",
        [judged(0, "PASS"), promoted(), asked(), judged(1, "FAIL")],
        {"status": "promoted", "promotion": 1, "outcome": "FAIL", "day": day(1)},
    ),
    (
        "rolled back",
        [judged(0, "PASS"), asked(), promoted(), rolled_back, judged(1, "PASS")],
        {"status": "rolled_back", "reason": "complaints", "approved_by": "cid", "promotion": 2, "outcome": "PASS"},
    ),
    ("fails after it", [judged(0, "PASS"), promoted(), rolled_back, judged(1, "FAIL")], {"status": "failed"}),
    (
        "promoted again",
        [judged(0, "PASS"), promoted(), rolled_back, promoted()],
        {"status": "promoted", "promotion": 3},
    ),
    (
        "followed by another",
        [judged(0, "PASS"), promoted(), promoted("linear")],
        {"status": "in_shadow", "reason": "linear 2 has replaced it as champion", "promotion": 2, "approved_by": None},
    ),
    (
        "champion again by rollback of another",
        [judged(0, "PASS"), promoted(), promoted("linear"), rolled_back],
        {"status": "promoted", "reason": "complaints", "approved_by": "cid", "promotion": 3},
    ),
    ("another is asked about", [judged(0, "PASS"), lambda shadow: ask(shadow, name="linear")], {"status": "passed"}),
]


@pytest.mark.parametrize(("steps", "expected"), [one[1:] for one in STORIES], ids=[one[0] for one in STORIES])
def test_the_status_is_what_happened_last(
    shadow: DeploymentContext, steps: list[Step], expected: dict[str, Any]
) -> None:
    for step in steps:
        step(shadow)
    found = standing(shadow)
    assert {key: getattr(found, key) for key in expected} == expected
    assert (found.deployment, found.challenger, found.version) == ("late", "other", "1")
    assert found.status in get_args(StatusName)
    assert [one.challenger for one in status.statuses(shadow)] == ["other", "linear"]  # the A/A check never


def test_since_is_when_it_happened(world: World, shadow: DeploymentContext) -> None:
    for number in (0, 1, 2):
        judge(shadow, number, "PASS" if number else "INCONCLUSIVE")
    ((first,), *_) = world.query("SELECT judged_at FROM shadow.verdict WHERE outcome = 'PASS' ORDER BY id")
    assert standing(shadow).since == first
    judge(shadow, 1, "PASS")  # another revision of a day in between changes nothing
    assert standing(shadow).since == first
    registry.promote(shadow, "other", **by("ada"), force=True)
    ((promoted_at,),) = world.query("SELECT created_at FROM shadow.promotion")
    assert standing(shadow).since == promoted_at
    assert standing(shadow).content["since"] == promoted_at.isoformat()


def test_another_version_starts_anew(world: World, shadow: DeploymentContext) -> None:
    judge(shadow, 0, "PASS", "linear")
    registry.promote(shadow, "linear", **by("ada"), force=True)
    challengers = [one.model_dump() for one in shadow.deployment.challengers]
    challengers[1]["version"] = "3"
    found = standing(deployed(world, challengers=challengers), "linear")
    assert (found.version, found.status, found.outcome, found.promotion) == ("3", "in_shadow", None, None)


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


OURS = {"status": "passed", "reason": 'wörd "x"\n', "n": None}
IN_LINES = '{{\n{0}{0}{0}"status": "passed",\n{0}{0}{0}"reason": "wörd \\"x\\"\\n",\n{0}{0}{0}"n": null\n{0}{0}}}'
IN_ONE = '{"status": "passed", "reason": "wörd \\"x\\"\\n", "n": null}'
LAYOUTS: list[tuple[str, str, str]] = [
    ("one line", '{"list": []}', '{"list": [{"id": "a", "shadow": ' + IN_ONE + "}]}"),
    (
        "tight",
        '{"list":[{"id":"a"}]}',
        '{"list":[{"id":"a","shadow":' + IN_ONE.replace(", ", ",").replace(": ", ":") + "}]}",
    ),
    (
        "tabs, and lines laid out by hand, which become lines of their own",
        '{\n\t"list": [\n\t\t{"id": "a", "x": 1}\n\t]\n}\n',
        (
            '{\n\t"list": [\n\t\t{\n\t\t\t"id": "a",\n\t\t\t"x": 1,\n\t\t\t"shadow": '
            '{\n\t\t\t\t"status": "passed",\n\t\t\t\t"reason": "wörd \\"x\\"\\n",\n\t\t\t\t"n": null\n\t\t\t}'
            "\n\t\t}\n\t]\n}\n"
        ),
    ),
    (
        "a list of lines",
        '[\n {\n  "id": "a",\n  "x": []\n }\n]',
        '[\n {\n  "id": "a",\n  "x": [],\n  "shadow": ' + IN_LINES.format(" ") + "\n }\n]",
    ),
    (
        "replaced in its place",
        '[\n {\n  "shadow": {"a": 1},\n  "id": "a"\n }\n]',
        '[\n {\n  "shadow": ' + IN_LINES.format(" ") + ',\n  "id": "a"\n }\n]',
    ),
    (
        "windows",
        '[\r\n {\r\n  "id": "a"\r\n }\r\n]\r\n',
        '[\r\n {\r\n  "id": "a",\r\n  "shadow": ' + IN_LINES.format(" ").replace("\n", "\r\n") + "\r\n }\r\n]\r\n",
    ),
    (
        "ascii",
        '[{"id": "a", "u": "\\u00e9"}]',
        '[{"id": "a", "u": "\\u00e9", "shadow": ' + IN_ONE.replace("ö", "\\u00f6") + "}]",
    ),
]


@pytest.mark.parametrize(("before", "after"), [one[1:] for one in LAYOUTS], ids=[one[0] for one in LAYOUTS])
def test_an_entry_is_written_as_the_file_is_laid_out(before: str, after: str) -> None:
    assert set_keys(before, "list", "a", {"shadow": OURS}) == after
    assert set_keys(after, "list", "a", {"shadow": OURS}) == after


def test_what_says_the_same_in_another_layout_stays_in_it() -> None:
    text = '[{"id": "a", "shadow":{"n":null,  "status" : "passed", "reason": "w\\u00f6rd \\"x\\"\\n"}}]'
    assert json.loads(text)[0]["shadow"] == OURS
    assert set_keys(text, "list", "a", {"shadow": OURS}) == text


def test_an_empty_list_in_lines_gets_its_entry_in_lines() -> None:
    written = set_keys(new("list"), "list", "a", {"shadow": OURS})
    assert written == json.dumps({"list": [{"id": "a", "shadow": OURS}]}, indent=2, ensure_ascii=False) + "\n"


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


@pytest.mark.parametrize("text", ['[{"id": "b", "e": "é\\u00e9\\/\\ud800"}]', '[{"id": "b", "e": "\\ud800"}]'])
def test_text_that_is_escaped_keeps_its_meaning(text: str) -> None:
    written = set_keys(text, "list", "b", {"shadow": OURS})
    written.encode()
    assert json.loads(written)[0]["e"] == json.loads(text)[0]["e"]


texts = st.text(st.characters(codec="utf-8", exclude_characters='"'), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
entries = st.lists(
    st.tuples(st.sampled_from("abcdé"), st.dictionaries(texts, values, max_size=3), st.booleans()),
    max_size=4,
    unique_by=lambda one: one[0],
)
layouts = st.fixed_dictionaries(
    {
        "indent": st.sampled_from([None, 1, 2, 4, "\t"]),
        "ensure_ascii": st.booleans(),
        "separators": st.sampled_from([(",", ":"), (", ", ": ")]),
    }
)


@given(entries, st.dictionaries(texts, values, max_size=3), layouts, st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_whatever_is_in_the_file_only_our_key_changes(
    listed: list[Any], around: dict[str, Any], layout: dict[str, Any], is_list: bool, newline: str
) -> None:
    found = [{**one, "id": name, **({"shadow": {"old": name}} if ours else {})} for name, one, ours in listed]
    whole: Any = found if is_list else {**around, "list": found, "z": 1}
    text = json.dumps(whole, **layout).replace("\n", newline)
    if "a" not in {one["id"] for one in found} and any(set(one) - {"id", "shadow"} for one in found):
        with pytest.raises(UnknownEntryError, match="has no entry with the id 'a'"):
            set_keys(text, "list", "a", {"shadow": OURS})
        return
    written = set_keys(text, "list", "a", {"shadow": OURS})
    expected = json.loads(text)
    ours = expected if is_list else expected["list"]
    entry = next((one for one in ours if one["id"] == "a"), None)
    if entry is None:
        ours.append({"id": "a"})
    (entry or ours[-1])["shadow"] = OURS
    assert json.dumps(json.loads(written)) == json.dumps(expected)  # the order of keys too
    assert set_keys(written, "list", "a", {"shadow": OURS}) == written


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
