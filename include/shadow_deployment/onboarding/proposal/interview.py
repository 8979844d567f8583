"""Questions about a deployment, answered by a flag, by somebody at a terminal, or by what was recognised."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shadow_deployment.config.yaml_source import suggestion
from shadow_deployment.errors import DeploymentError


@dataclass(frozen=True)
class Answer:
    """A value and why it is this one; `is_inferred` unless somebody gave it."""

    value: Any
    why: str
    is_inferred: bool = True


@dataclass(frozen=True)
class Question:
    """What a deployment needs to know.

    `flag` answers it without a terminal. `proposal` is what was recognised. `choices` are the columns it may name,
    several of them separated by commas where it is `several`; none are any text. Where it `may_be_empty`, nothing is an
    answer. `parse` turns an answer into a value, and raises ValueError that says what it must be.
    """

    key: str
    flag: str
    text: str
    proposal: Answer | None = None
    choices: Sequence[str] | None = None
    several: bool = False
    may_be_empty: bool = False
    hint: str = ""
    parse: Callable[[str], Any] = str

    def proposing(self, value: Any, why: str) -> "Question":
        """Return the question with a proposal."""
        return replace(self, proposal=Answer(value, why))


class Interview:
    """Answers questions in their order: flags first, then `ask` where there is a terminal, then the proposals."""

    def __init__(self, flags: Mapping[str, Any], ask: Callable[[Question], str] | None = None) -> None:
        self._flags, self._ask = flags, ask

    @property
    def has_terminal(self) -> bool:
        """Whether somebody can be asked."""
        return self._ask is not None

    def flag(self, name: str) -> Any:
        """Return what a flag was given, None where it was not."""
        return self._flags.get(name.removeprefix("--").replace("-", "_"))

    def answer(self, question: Question) -> Answer | None:
        """Return the answer; None only where nothing is one.

        Raises:
            DeploymentError: A flag is no answer, or without a terminal nothing was recognised: names the flag.
        """
        given = self.flag(question.flag)
        if given is not None:
            return self._checked(question, str(given), f"given by {question.flag}")
        if self._ask is not None:
            return self.asked(question)
        if question.proposal is None and not question.may_be_empty:
            raise DeploymentError(_unknown(question))
        return question.proposal

    def asked(self, question: Question) -> Answer | None:
        """Return what somebody answers at the terminal, asked again until it is an answer; None without a terminal."""
        while self._ask is not None:
            text = self._ask(question).strip()
            if question.proposal is not None and text == shown(question.proposal.value):
                return question.proposal
            try:
                return self._checked(question, text, "answered at the terminal")
            except DeploymentError as error:
                question = replace(question, hint=str(error))
        return None

    def required(self, question: Question) -> Answer:
        """Return the answer to a question that must have one."""
        answer = self.answer(question)
        if answer is None:
            raise DeploymentError(_unknown(question))
        return answer

    @staticmethod
    def _checked(question: Question, text: str, why: str) -> Answer | None:
        if text in ("", "none") and question.may_be_empty:
            return None
        names = [name.strip() for name in text.split(",")] if question.several else [text]
        for name in names:
            if question.choices is not None and name not in question.choices:
                allowed = f"{', '.join(question.choices)}{suggestion(name, question.choices)}"
                raise DeploymentError(f"{question.flag} == {name!r}, must be one of {allowed}")
            if not name:
                raise DeploymentError(f"{question.flag} == '', must be some text")
        if question.several:
            return Answer(names, why, is_inferred=False)
        try:
            return Answer(question.parse(text), why, is_inferred=False)
        except ValueError as error:
            raise DeploymentError(f"{question.flag} == {text!r}, {error}") from None


def shown(value: Any) -> str:
    """Return a value as an answer is written."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _unknown(question: Question) -> str:
    if question.choices is None:
        return f"{question.key} is missing: give {question.flag}"
    among = ", ".join(question.choices) or "the columns, none of which is of such a type"
    return f"{question.key} cannot be recognised among {among}: give {question.flag}"
