"""Flags answer first, then a person, then what was recognised; and nothing is guessed where none of them knows."""

from pathlib import Path
from typing import Any

import pytest

from shadow_deployment.errors import DeploymentError
from shadow_deployment.onboarding.proposal import answers
from shadow_deployment.onboarding.proposal.challengers import ask_challengers, count_from, input_names
from shadow_deployment.onboarding.proposal.interview import Answer, Interview, Question
from shadow_deployment.onboarding.proposal.writing import Line
from tests.production import linear_model

ID = Question("requests.id", "--id", "Column of the request id", Answer("no", "named as an id"), ["no", "age"])
UNKNOWN = Question("requests.id", "--id", "Column of the request id", None, ["no", "age"])


def terminal(*texts: str) -> Any:
    given = iter(texts)
    asked: list[Question] = []

    def ask(question: Question) -> str:
        asked.append(question)
        return next(given)

    ask.asked = asked  # type: ignore[attr-defined]
    return ask


def test_a_proposal_is_taken_without_a_terminal_and_says_why() -> None:
    assert Interview({}).answer(ID) == Answer("no", "named as an id")


def test_a_flag_is_stronger_than_a_proposal() -> None:
    assert Interview({"id": "age"}).answer(ID) == Answer("age", "given by --id", is_inferred=False)


def test_what_nobody_knows_stops_with_the_flag_and_the_columns() -> None:
    with pytest.raises(DeploymentError, match=r"requests\.id cannot be recognised among no, age: give --id"):
        Interview({}).answer(UNKNOWN)


def test_a_wrong_flag_names_the_columns_and_the_nearest() -> None:
    with pytest.raises(DeploymentError, match="--id == 'agge', must be one of no, age, did you mean age"):
        Interview({"id": "agge"}).answer(ID)


def test_somebody_is_asked_again_until_it_is_an_answer() -> None:
    ask = terminal("agge", "age")
    assert Interview({}, ask).answer(ID) == Answer("age", "answered at the terminal", is_inferred=False)
    assert ask.asked[0].hint == ""
    assert "'agge', must be one of no, age" in ask.asked[1].hint


def test_enter_keeps_the_proposal_with_its_reason() -> None:
    assert Interview({}, terminal("no")).answer(ID) == Answer("no", "named as an id")


@pytest.mark.parametrize(
    ("question", "flag", "message"),
    [
        (Question("start", "--start", "", parse=answers.day), {"start": "yesterday"}, "must be a day as YYYY-MM-DD"),
        (Question("rate", "--rate", "", parse=answers.share), {"rate": "10"}, "above 0 and at most 1"),
        (Question("zone", "--zone", "", parse=answers.timezone), {"zone": "Mars"}, "must be an IANA time zone"),
    ],
)
def test_an_answer_is_read_as_what_it_must_be(question: Question, flag: dict[str, str], message: str) -> None:
    with pytest.raises(DeploymentError, match=message):
        Interview(flag).answer(question)


def test_nothing_is_an_answer_only_where_it_may_be() -> None:
    version = Question("requests.version", "--version", "", Answer("build", "why"), ["build"], may_be_empty=True)
    assert Interview({"version": "none"}).answer(version) is None
    with pytest.raises(DeploymentError):
        Interview({"id": "none"}).answer(ID)


def test_challengers_are_asked_for_with_the_end_of_their_training() -> None:
    ask = terminal("onnx:models/Big Trees.onnx", "big_trees", "logged:other", "other", "", "2026-02-28", "")
    entries = [each.value for each in ask_challengers(Interview({}, ask))]
    assert [question.proposal and question.proposal.value for question in ask.asked if "Name" in question.text] == [
        "big_trees",
        "other",
    ]
    assert entries == [
        {"name": "big_trees", "model": "onnx:models/Big Trees.onnx", "trained_until": answers.day("2026-02-28")},
        {"name": "other", "model": "logged:other"},
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "give --challenger NAME=MODEL"),
        ({"challenger": ["onnx:a.onnx"]}, "must be NAME=MODEL"),
        ({"challenger": ["a=logged:a", "a=logged:b"]}, "a name of its own"),
        ({"challenger": ["a=keras:a"]}, "must be champion, onnx:PATH"),
        ({"challenger": ["a=sklearn:a.pkl"]}, "give --unpickle"),
        ({"challenger": ["a=logged:a"], "trained_until": ["b=2026-01-01"]}, "NAME being one of a"),
        ({"challenger": ["a=logged:a"], "trained_until": ["a=soon"]}, "must be a day as YYYY-MM-DD"),
    ],
)
def test_a_wrong_challenger_names_its_flag(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(DeploymentError, match=message):
        ask_challengers(Interview(flags))


def test_inputs_of_onnx_models_are_the_features_that_they_take(tmp_path: Path) -> None:
    trees = linear_model(tmp_path / "trees.onnx", {"distance": 1.0, "dep_hour": 1.0})
    forest = linear_model(tmp_path / "forest.onnx", {"distance": 1.0, "origin": 1.0})
    entries = [Line({"model": f"onnx:{path}"}) for path in (trees, forest)]
    assert input_names([*entries, Line({"model": "python:m:f"})]) == ["distance", "dep_hour", "origin"]
    (tmp_path / "no.onnx").write_bytes(b"no model")
    assert input_names([Line({"model": f"onnx:{tmp_path}/no.onnx"})]) == []


def test_days_count_from_the_one_whose_labels_nobody_has_learned_from() -> None:
    ends = [Line({"trained_until": answers.day(day)}) for day in ("2026-01-31", "2026-02-10")]
    assert count_from(ends, 7) == answers.day("2026-02-17")
    assert count_from(ends, 0) == answers.day("2026-02-11")
    assert count_from([*ends, Line({})], 7) is None
