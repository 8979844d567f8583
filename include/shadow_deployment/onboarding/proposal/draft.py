"""The answers so far, by the key of the deployment file that each is for."""

from collections.abc import Sequence
from typing import Any

from shadow_deployment.onboarding.proposal.interview import Answer, Interview, Question
from shadow_deployment.onboarding.proposal.writing import Line


class Draft:
    """Collects answers; `notes` are what was recognised or measured without being a key."""

    def __init__(self, interview: Interview) -> None:
        self.interview = interview
        self.answers: dict[str, Answer] = {}
        self.notes: list[str] = []

    def ask(self, question: Question) -> Any:
        """Answer a question that must have an answer; return its value."""
        answer = self.interview.required(question)
        self.answers[question.key] = answer
        return answer.value

    def ask_perhaps(self, question: Question) -> Any:
        """Answer a question whose answer may be nothing; return its value or None."""
        answer = self.interview.answer(question)
        if answer is not None:
            self.answers[question.key] = answer
        return None if answer is None else answer.value

    def keep(self, key: str, value: Any, why: str) -> None:
        """Enter what was not asked."""
        self.answers[key] = Answer(value, why)

    def section(self, name: str, keys: Sequence[str]) -> dict[str, Line]:
        """Return the answers of a section in this order, without those that there are none of."""
        answers = {key: self.answers.get(f"{name}.{key}") for key in keys}
        return {key: _line(each) for key, each in answers.items() if each is not None}

    def line(self, key: str) -> Line:
        """Return one answer."""
        return _line(self.answers[key])

    def __getitem__(self, key: str) -> Any:
        return self.answers[key].value

    def get(self, key: str) -> Any:
        """Return the value of a key, None where it has none."""
        return self.answers[key].value if key in self.answers else None


def _line(answer: Answer) -> Line:
    return Line(answer.value, answer.why if answer.is_inferred else "")
