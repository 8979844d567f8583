"""What the doctor makes of real requests: labels that join or not, versions, and signs of a filtered log."""

import datetime as dt
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from shadow_deployment.config.deployment import ChampionSettings
from shadow_deployment.config.window import window_of
from shadow_deployment.data.ports import UNVERSIONED
from shadow_deployment.doctor.checks import ConcernError
from shadow_deployment.doctor.production.requests import KnownRequests, joined, served, unfiltered
from shadow_deployment.errors import SourceError
from tests.builders import a_deployment

DAY = dt.date(2024, 3, 4)
LOW, HIGH = [0.1, 0.2] * 30, [0.8, 0.9] * 30
UNSEEN = "what never reached the log cannot be seen from here"


def known(
    values: Sequence[float | None] = (), labelled: Sequence[bool] = (), versions: Sequence[str] = (), **changes: Any
) -> KnownRequests:
    """Return requests of one day, as if production had been looked at."""
    found = KnownRequests(cast(Any, SimpleNamespace(deployment=a_deployment(**changes))))
    ids = [f"r{number}" for number in range(len(values))]
    requests = pa.table({"request_id": ids, "champion": pa.array(values, pa.float64())})
    found.newest = pa.table({"champion_version": list(versions)}) if versions else requests
    found.mature, found.mature_window = requests, window_of(found.context.deployment, DAY)
    found.__dict__["is_labelled"] = np.array(labelled, bool)
    return found


def concern(check: Callable[[KnownRequests], str], requests: KnownRequests) -> str:
    with pytest.raises(ConcernError) as caught:
        check(requests)
    return str(caught.value)


def test_labels_of_a_past_day_are_counted() -> None:
    ten = [0.5] * 10
    assert joined(known(ten, [True] * 10)) == "10 of 10 requests of 2024-03-04 find a label (100.0%)"
    few = known(ten, [True] * 4 + [False] * 6)
    least = few.context.deployment.policy.minimum_coverage
    assert f"(40.0%), fewer than policy.minimum_coverage == {least:g} asks for" in concern(joined, few)
    with pytest.raises(SourceError, match=r"0 of 10 requests .* ids such as 'r0', 'r1', 'r2' are not in "):
        joined(known(ten, [False] * 10))
    assert joined(known()).startswith("no request is older than labels.maturity_days")


def test_a_version_that_cannot_be_seen_or_is_not_the_declared_one_is_doubted() -> None:
    assert served(known(versions=["7", "7", "8"])) == "the newest 3 requests are of 7, 8"
    assert "requests.version is not given" in concern(served, known(requests={"version": None}))
    assert "1 of 2 newest requests have no model_version" in concern(served, known(versions=["7", UNVERSIONED]))
    replayed = known(versions=["7"])
    champion = ChampionSettings(model="onnx:champion.onnx", version="6")
    declared = replayed.context.deployment.model_copy(update={"champion": champion})
    replayed.context = cast(Any, SimpleNamespace(deployment=declared))
    said = concern(served, replayed)
    assert said == "champion.version == '6', but the newest requests are of 7: none is replayed"
    service = {"version": None, "champion_identity": "service"}
    assert "whatever is served" in served(known(requests=service))


@pytest.mark.parametrize(
    ("champion", "labelled", "sign"),
    [
        (LOW, [], "all 60 predictions of the champion are below threshold 0.5 (rare events look the same)"),
        (HIGH, [True] * 60, "all 60 predictions of the champion are from 0.5 on"),
        (LOW + HIGH, [False] * 60 + [True] * 60, "0.0% of requests below threshold 0.5 have a label, 100.0% of those"),
        (LOW + HIGH, [True] * 60 + [False] * 57 + [True] * 3, "5.0% of requests from 0.5 on have a label, 100.0% of"),
    ],
)
def test_what_the_champion_let_through_alone_is_a_warning(
    champion: list[float], labelled: list[bool], sign: str
) -> None:
    said = concern(unfiltered, known(champion, labelled))
    assert sign in said
    assert said.endswith(UNSEEN)


@pytest.mark.parametrize(
    ("champion", "labelled"),
    [
        (LOW + HIGH, [True] * 120),
        (LOW + HIGH, [False] * 120),
        (LOW[:40], []),
        ([*LOW, None, 0.9], [True] * 62),
        (LOW + HIGH[:10], [True] * 60 + [False] * 10),
    ],
    ids=["both sides", "no label at all", "too few", "one of the other side", "too few of the other side"],
)
def test_a_log_with_both_decisions_or_too_few_shows_no_sign(champion: list[float | None], labelled: list[bool]) -> None:
    assert unfiltered(known(champion, labelled)) == f"no sign in {len(champion)} requests; {UNSEEN}"


def test_classes_are_decisions_and_amounts_are_none() -> None:
    rules = {"rules": [{"metric": "log_loss", "is": "superior"}]}
    settings: dict[str, Any] = {
        "task": "multiclass", "classes": ["a", "b", "c"], "requests": {"prediction": ["p", "q", "r"]}, "policy": rules,
        "metrics": [], "challengers": [{"name": "a_a_check", "model": "champion"}],
    }  # fmt: skip
    classes = [0.0] * 30 + [1.0] * 30 + [2.0] * 30
    said = concern(unfiltered, known(classes, [True] * 60 + [False] * 30, **settings))
    assert "0.0% of requests predicted c have a label, 100.0% of those predicted a" in said
    amounts = {
        "task": "regression",
        "metrics": [],
        "policy": {"rules": [{"metric": "squared_error", "is": "superior"}]},
    }
    assert "an amount has no decision" in unfiltered(known([1.0] * 90, [True] * 90, **amounts))
