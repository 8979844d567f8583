"""How often a champion was challenged: of many trials some pass by chance, so a person decides knowing the number."""

from collections.abc import Sequence
from dataclasses import dataclass

from shadow_deployment.base.numbers import quantity
from shadow_deployment.decision.trial import champion_in_words
from shadow_deployment.ledger.trials import TrialRecord


@dataclass(frozen=True)
class TrialTally:
    """The trials of challengers against one champion.

    `place` is that of the trial in question, from 1 on. `passing`, `failing` and `undecided` count trials by their
    newest verdict; one that was never judged is undecided.
    """

    champion: str
    place: int
    trials: int
    models: int
    passing: int
    failing: int
    undecided: int

    def __str__(self) -> str:
        outcomes = f"{self.passing} PASS, {self.failing} FAIL, {self.undecided} open"
        of = f"trial {self.place} of {self.trials} against {self.champion}"
        return f"{of} ({quantity(self.models, 'model')}; trials: {outcomes})"


def tally(records: Sequence[TrialRecord], number: int) -> TrialTally:
    """Return how often the champion of a trial was challenged up to now.

    Args:
        records: Every trial of the deployment, in order.
        number: The trial's number, one of theirs. A/A checks and former champions do not count.
    """
    champion_version = next(record.champion_version for record in records if record.number == number)
    alike = [each for each in records if (each.kind, each.champion_version) == ("challenger", champion_version)]
    passing, failing = (sum(each.outcome == outcome for each in alike) for outcome in ("PASS", "FAIL"))
    return TrialTally(
        champion=champion_in_words(champion_version),
        place=sum(each.number <= number for each in alike),
        trials=len(alike),
        models=len({(each.version, each.digest) for each in alike}),
        passing=passing,
        failing=failing,
        undecided=len(alike) - passing - failing,
    )
