"""How many trials a champion has seen, of how many models, and how they ended."""

import datetime as dt
from typing import Any

from shadow_deployment.ledger.trials import TrialRecord
from shadow_deployment.promotion.trial_tally import tally


def trial(number: int, outcome: str | None, **changes: Any) -> TrialRecord:
    usual: dict[str, Any] = {
        "kind": "challenger",
        "name": f"model_{number}",
        "version": "1",
        "digest": f"digest {number}",
        "champion_version": "7",
        "opened_at": dt.datetime(2024, 1, number, tzinfo=dt.UTC),
        "opened_because": "it was seen for the first time",
        "batch": number,
        "place": number,
        "batch_size": 1,
        "alpha": 0.05,
        "terms_digest": "",
        "rules_digest": "",
        "trained_until": None,
        "terms": {},
        "day": None,
        "judged": 0,
    }
    return TrialRecord(number=number, outcome=outcome, **usual | changes)


def test_every_trial_against_the_champion_counts_and_no_other() -> None:
    records = [
        trial(1, "PASS", champion_version="6"),
        trial(2, "FAIL"),
        trial(3, "FAIL", kind="a_a_check"),
        trial(4, "PASS", kind="former_champion"),
        trial(5, "FAIL", digest="digest 2"),
        trial(6, "PASS"),
        trial(7, "INCONCLUSIVE"),
        trial(8, None),
    ]
    assert str(tally(records, 6)) == "trial 3 of 5 against champion 7 (4 models; trials: 1 PASS, 2 FAIL, 2 open)"
    assert str(tally(records, 1)) == "trial 1 of 1 against champion 6 (1 model; trials: 1 PASS, 0 FAIL, 0 open)"


def test_another_version_of_the_same_bytes_is_another_model() -> None:
    """A server's model is known by its address and its version."""
    records = [trial(number, None, digest="of an address", version=str(number)) for number in (1, 2)]
    assert tally(records, 1).models == 2


def test_the_service_is_one_champion() -> None:
    records = [trial(number, "PASS", champion_version="service") for number in (1, 2)]
    assert str(tally(records, 2)).startswith("trial 2 of 2 against whatever production serves (2 models")
