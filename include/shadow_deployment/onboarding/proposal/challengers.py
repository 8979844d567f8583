"""The challengers of a proposed deployment: which models, and until when each was trained."""

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.model import KINDS
from shadow_deployment.errors import DeploymentError, ModelError
from shadow_deployment.models.loading import model_digest
from shadow_deployment.onboarding.proposal import answers
from shadow_deployment.onboarding.proposal.interview import Interview, Question
from shadow_deployment.onboarding.proposal.writing import Line

A_A_CHECK: Final = Line(
    {"name": "a_a_check", "model": "champion"},
    "the champion against itself: it measures the noise of the whole pipeline, and can never be promoted",
)
_FORMS: Final = ", ".join(kind.form for name, kind in KINDS.items() if name != "champion")
_ONLY_LIVE: Final = "when its training data end is not known, so only live days decide"


def ask_challengers(interview: Interview) -> list[Line]:
    """Return the challengers' entries, without the A/A check.

    Raises:
        DeploymentError: None is named, or what is named is none.
    """
    pairs = list(_given(interview) if interview.flag("--challenger") else _asked(interview))
    named = dict(pairs)
    if len(named) < len(pairs):
        raise DeploymentError(f"--challenger names {', '.join(name for name, _ in pairs)}: give each a name of its own")
    if not named:
        raise DeploymentError(
            "challengers are not named: give --challenger NAME=MODEL, as in --challenger trees=onnx:models/trees.onnx; "
            f"MODEL is {_FORMS}"
        )
    ends = _training_ends(interview, list(named))
    return [_entry(interview, name, model, ends.get(name)) for name, model in named.items()]


def input_names(challengers: Sequence[Line]) -> list[str]:
    """Return the names of the inputs of ONNX models on this machine, each input being one column; none otherwise."""
    names: dict[str, None] = {}
    for each in challengers:
        kind, _, address = str(each.value["model"]).partition(":")
        path = PROJECT / address.removeprefix("file://")
        if kind == "onnx" and "s3://" not in address and path.is_file():
            names |= dict.fromkeys(_onnx_inputs(path.read_bytes()))
    return list(names)


def count_from(challengers: Sequence[Line], maturity_days: int) -> dt.date | None:
    """Return the first day of whose labels no challenger can have learned; None where a training's end is not known."""
    ends = [each.value.get("trained_until") for each in challengers]
    untaught = dt.timedelta(days=max(maturity_days, 1))
    return None if None in ends else max(end + untaught for end in ends if end)


def _given(interview: Interview) -> Iterator[tuple[str, str]]:
    for text in interview.flag("--challenger"):
        name, equals, model = text.partition("=")
        if not equals:
            raise DeploymentError(f"--challenger == {text!r}, must be NAME=MODEL, as in trees=onnx:models/trees.onnx")
        try:
            yield answers.identifier(name), answers.address(model)
        except ValueError as error:
            raise DeploymentError(f"--challenger == {text!r}, {error}") from None


def _asked(interview: Interview) -> Iterator[tuple[str, str]]:
    seen = set[str]()
    while interview.has_terminal:
        more = " (empty: no more)" if seen else ""
        model = interview.answer(
            Question(
                "challengers[].model",
                "--challenger",
                f"Model of a challenger, such as onnx:models/trees.onnx or python:MODULE:FUNCTION{more}",
                may_be_empty=bool(seen),
                parse=answers.address,
            )
        )
        if model is None:
            return
        question = Question(
            "challengers[].name", "--challenger", f"Name of {model.value}", parse=answers.identifier
        ).proposing(_name_of(model.value, seen), "from the model's address")
        name = interview.required(question).value
        seen.add(name)
        yield name, model.value


def _training_ends(interview: Interview, names: Sequence[str]) -> Mapping[str, dt.date]:
    ends: dict[str, dt.date] = {}
    for text in interview.flag("--trained-until") or ():
        name, equals, day = text.rpartition("=")
        name = name if equals else names[0] if len(names) == 1 else ""
        if name not in names:
            allowed = f"NAME being one of {', '.join(names)}"
            raise DeploymentError(f"--trained-until == {text!r}, must be NAME=YYYY-MM-DD, {allowed}")
        try:
            ends[name] = answers.day(day)
        except ValueError as error:
            raise DeploymentError(f"--trained-until == {text!r}, {error}") from None
    for name in names if interview.has_terminal else ():
        if name not in ends:
            text = f"Last day of the training data of {name}, YYYY-MM-DD (empty: not known, only live days decide)"
            question = Question("trained_until", "--trained-until", text, may_be_empty=True, parse=answers.day)
            answer = interview.asked(question)
            ends |= {} if answer is None else {name: answer.value}
    return ends


def _entry(interview: Interview, name: str, model: str, trained_until: dt.date | None) -> Line:
    entry: dict[str, Any] = {"name": name, "model": model}
    if model.startswith("sklearn:"):
        if not interview.flag("--unpickle"):
            raise DeploymentError(
                f"challenger {name}: model == {model!r}, is a pickle, and reading it can run arbitrary code: give "
                "--unpickle to accept that, or save the model by skops"
            )
        entry |= {"unpickle": True, "digest": _digest(name, model)}
    if trained_until is None:
        return Line(entry, _ONLY_LIVE)
    return Line(entry | {"trained_until": trained_until}, "days whose labels it may have learned from never count")


def _digest(name: str, model: str) -> str:
    try:
        return model_digest(Challenger(name=name, model=model))
    except ModelError as error:
        raise DeploymentError(str(error)) from None


def _onnx_inputs(content: bytes) -> list[str]:
    try:
        import onnxruntime

        nodes = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).get_inputs()
    except Exception:  # noqa: BLE001 (the doctor says what is wrong with a model)
        return []
    is_by_column = all(len(node.shape) == 1 or node.shape[1:] in ([1], [None]) for node in nodes)
    return [node.name for node in nodes] if is_by_column else []


def _name_of(model: str, taken: set[str]) -> str:
    address = model.partition(":")[2]
    stem = re.split(r"[:.@]", address)[-1] if model.startswith(("python:", "logged:")) else PurePosixPath(address).stem
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_") or "challenger"
    name = name if name[0].isalpha() else f"model_{name}"
    return name[:60] if name not in taken else f"{name[:58]}_{len(taken) + 1}"
