"""A page that is remembered is asked for anew whenever something was entered: every table is looked at, or why not."""

import re
from pathlib import Path

import pytest

from shadow_deployment import ledger

FOLDER = Path(ledger.__file__).parent
# By what is entered in the same transaction and looked at, or by which view.
WITH = {
    "verdict": "chain",
    "promotion": "chain",
    "removal": "chain",
    "label_collection": "labelled_snapshot",
    "label_arrival": "labelled_snapshot",
    "request_batch": "labelled_snapshot",
    "cell": "labelled_snapshot",
    "prediction_batch": "scoring",
    "evidence_batch": "comparison",
    "provisional_evidence": "comparison",
    "score_bin": "comparison",
    "quadrant": "comparison",
    "disagreement": "comparison",
    "trial": "sampled_window",  # a day's sampling opens trials
    "trial_training": "sampled_window",
}
NOT_SHOWN = {"calibration", "leftover", "own_features", "retention"}


def tables() -> list[str]:
    texts = [path.read_text() for path in (FOLDER / "migrations").rglob("*.up.sql")]
    return sorted(
        {name for text in texts for name in re.findall(r"^CREATE TABLE shadow\.(\w+) \(", text, re.MULTILINE)}
    )


def looked_at() -> set[str]:
    texts = [(FOLDER / "sql" / f"{name}.sql").read_text() for name in ("page_fingerprint", "deployment_fingerprints")]
    return {name for text in texts for name in re.findall(r"(?:FROM|JOIN) shadow\.(\w+)", text)}


@pytest.mark.parametrize("table", tables())
def test_every_table_changes_the_fingerprint_of_a_page(table: str) -> None:
    assert table in NOT_SHOWN or WITH.get(table, table) in looked_at()
