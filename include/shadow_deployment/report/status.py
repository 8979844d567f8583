"""Where a challenger stands, in words that somebody can act on."""

from dataclasses import dataclass
from typing import Final, Literal

Stage = Literal[
    "not_started",
    "collecting",
    "undecided",
    "no_difference",
    "broken",
    "ready",
    "promoted_not_served",
    "champion",
    "failed",
    "watching",
    "regression",
    "as_expected",
    "a_a_alarm",
]
LABELS: Final[dict[Stage, str]] = {
    "not_started": "Not started",
    "collecting": "Collecting",
    "undecided": "Undecided",
    "no_difference": "No difference that matters",
    "broken": "Broken",
    "ready": "Ready for approval",
    "promoted_not_served": "Promoted, not served",
    "champion": "Champion",
    "failed": "Failed",
    "watching": "Watching",
    "regression": "Regression",
    "as_expected": "A/A check: as expected",
    "a_a_alarm": "A/A check: alarm",
}
_URGENCY: Final[dict[Stage, int]] = {
    "regression": 0,
    "promoted_not_served": 0,
    "a_a_alarm": 0,
    "broken": 0,
    "ready": 1,
    "not_started": 2,
    "failed": 2,
    "no_difference": 2,
    "undecided": 3,
    "collecting": 3,
    "watching": 3,
    "champion": 4,
    "as_expected": 4,
}


@dataclass(frozen=True)
class ChallengerStatus:
    """A challenger's stage, what its newest verdict says in a sentence, and what happens next or is to be done.

    `approval_run` is the run of the promotion DAG that waits for an answer, None where none does.
    """

    stage: Stage
    sentence: str
    action: str
    detail: str = ""
    approval_run: str | None = None

    @property
    def label(self) -> str:
        """The stage in words, with what is known of its length."""
        return f"{LABELS[self.stage]}: {self.detail}" if self.detail else LABELS[self.stage]

    @property
    def content(self) -> dict[str, str]:
        """The status as plain data."""
        return {"stage": self.stage, "label": self.label, "sentence": self.sentence, "action": self.action}

    @property
    def urgency(self) -> int:
        """0: somebody is needed now; 1: a decision waits; 2: nothing goes on by itself; 3: it goes on; 4: settled."""
        return _URGENCY[self.stage]

    @property
    def needs_somebody(self) -> bool:
        """Whether somebody is needed now, or a decision waits."""
        return self.urgency <= _URGENCY["ready"]
