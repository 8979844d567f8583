"""Evidence and verdicts of one EVIDENCE_VERSION never move: figures kept from an earlier run, to twelve digits.

Losses and scores are checked against scikit-learn elsewhere. Here it is their stability that is checked: a number that
moves without a new version would leave old and new days in one series.
"""

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from shadow_deployment.ledger.evidence import EVIDENCE_VERSION
from shadow_deployment.metrics.catalog import METRICS, QUIET
from shadow_deployment.pipeline.run import run_days
from tests.production import World, day

DAYS = 4
FIGURES = Path(__file__).parent / "golden" / f"evidence_{EVIDENCE_VERSION}.json"
SAMPLE = {"rate": 0.6, "strata": ["origin"], "rates": {"JFK": 0.9}, "minimum_per_stratum": 8, "salt": "synthetic"}
NAMES = ("metric", "slice", "outcome", "estimate", "lower", "upper", "observations", "requests")
SETTINGS: dict[str, dict[str, Any]] = {
    "binary": {},
    "regression": {
        "task": "regression",
        "tolerance": 0.1,
        "quantile": 0.8,
        "policy": {"burn_in": 2, "rules": [{"metric": "squared_error", "is": "superior"}]},
    },
}


def figures(world: World, settings: dict[str, Any]) -> dict[str, Any]:
    """Run some days; return each number of evidence and verdicts by a name that no renaming moves."""
    task = settings.get("task", "binary")
    shadow = world.shadow(
        sample=SAMPLE,
        slices=["origin"],
        metrics=sorted(
            name for name in METRICS if task in METRICS[name].tasks and name not in QUIET and "latency" not in name
        ),
        **settings,
    )
    run_days(shadow, [day(number) for number in range(DAYS)], Console(file=io.StringIO()))
    evidence = world.evidence().drop(columns=["digest"])
    keys = ["day", "challenger", "slice_column", "slice_value", "metric"]
    numbers = evidence.columns.drop([*keys, "champion_version"])
    verdicts: dict[str, list[Any]] = {}  # the newest revision of a verdict stands
    for of_day, challenger, _, outcome, _, _, findings in world.verdicts():
        verdicts[f"{of_day}|{challenger}"] = [outcome, *([finding[name] for name in NAMES] for finding in findings)]
    return {
        "evidence": {
            "|".join(str(row[key]) for key in keys): [row[name] for name in numbers]
            for row in evidence.to_dict(orient="records")
        },
        "verdicts": verdicts,
    }


def test_evidence_and_verdicts_of_this_version_have_not_moved(worlds: Callable[..., World], tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        found: dict[str, Any] = {}
        for task, settings in SETTINGS.items():
            world = worlds()
            for name, value in world.variables().items():
                patch.setenv(name, value)
            found[task] = figures(world, settings)
    found = json.loads(json.dumps(found, default=str))
    if not FIGURES.exists():
        candidate = tmp_path / FIGURES.name
        candidate.write_text(lines(found))
        pytest.fail(
            f"EVIDENCE_VERSION {EVIDENCE_VERSION} has no figures: look at {candidate}, and copy it to {FIGURES}"
        )
    moved = list(differences(json.loads(FIGURES.read_text()), found))
    assert not moved, f"{len(moved)} figures moved, so EVIDENCE_VERSION must be raised: {moved[:5]}"


def lines(found: dict[str, Any]) -> str:
    """Return figures as JSON with a line for each, so that a review shows which ones moved."""
    text = json.dumps(found, sort_keys=True)
    return text.replace('], "', '],\n"').replace('}, "', '},\n"') + "\n"


def differences(expected: Any, found: Any, where: str = "") -> "list[str]":
    """Return the places where two figures differ by more than 1e-12, relatively or absolutely."""
    if isinstance(expected, dict) and isinstance(found, dict):
        names = [f"{where}/{name}" for name in expected.keys() ^ found.keys()]
        return names + [
            line
            for name in expected.keys() & found.keys()
            for line in differences(expected[name], found[name], f"{where}/{name}")
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [
            line
            for n, pair in enumerate(zip(expected, found, strict=True))
            for line in differences(*pair, f"{where}/{n}")
        ]
    numbers = isinstance(expected, int | float) and isinstance(found, int | float)
    same = math.isclose(expected, found, rel_tol=1e-12, abs_tol=1e-12) if numbers else expected == found
    both_nan = numbers and math.isnan(expected) and math.isnan(found)
    return [] if same or both_nan else [f"{where}: {expected!r} became {found!r}"]


@pytest.mark.parametrize("found", [{"a": [1.0, 2.0 + 1e-9]}, {"a": [1.0]}, {"b": [1.0, 2.0]}, {"a": [1.0, None]}])
def test_a_figure_that_moves_is_found(found: dict[str, Any]) -> None:
    assert differences({"a": [1.0, 2.0]}, found)
