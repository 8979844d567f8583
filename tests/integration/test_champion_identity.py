"""A production whose version changes: a trial against a version ends there, one against the service goes on.

Everything goes through the command line, on the production of `wrong_passes`, retrained at noon of a day.
"""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.conftest import Invoke, declare
from tests.integration.wrong_passes.story import DAYS, OTHER, better, deploy, newest_verdict, produce, run
from tests.production import TRAINED_UNTIL, World, day, linear_model

RETRAINED = 6
RETRAIN = "UPDATE flights.prediction_log SET model_version = '8' WHERE predicted_at >= %s::date + interval '12 hours'"
SERVICE = {"champion_identity": "service"}
LENIENT = {"rules": [{"metric": "error_rate", "is": "at_most", "value": 0.9}]}
LINEAR = 1 / (1 + np.exp(-0.8))  # of each request: dep_hour is always 8
SERVED = "whatever production serves (versions 7 on 7 days, 8 on 8 days)"


@pytest.fixture
def world(worlds: Callable[..., World], empty_production: str, monkeypatch: pytest.MonkeyPatch) -> World:
    world = declare(worlds(own=True, production=empty_production), monkeypatch)
    produce(world, better)
    world.change_production(RETRAIN, [day(RETRAINED)])
    return world


def trials(invoke: Invoke) -> list[dict[str, Any]]:
    _, out, _ = invoke("trials", "late", "--json")
    return [json.loads(line) for line in out.splitlines()]


def evidence(world: World, metric: str = "brier_score") -> list[tuple[Any, ...]]:
    return world.query(
        "SELECT day, sum(requests), sum(champion_sum), sum(difference_sum) FROM shadow.evidence "
        "WHERE metric = %s AND slice_column = 'all' GROUP BY day ORDER BY day",
        [metric],
    )


def promote(invoke: Invoke, *options: str) -> tuple[int, str]:
    who = ("--approved-by", "ada", "--reason", "it is better", "--yes")
    code, out, err = invoke("promote", "late", "--challenger", "other", *who, *options)
    return code, " ".join((out + err).split())


def test_a_new_version_opens_another_trial_and_evidence_starts_over(world: World, invoke: Invoke) -> None:
    deploy(world)
    run(invoke, 0, RETRAINED)
    found = newest_verdict(invoke)
    assert f"the champion changed during {day(RETRAINED)} (versions 7, 8); evidence starts over" in found["reasons"]
    run(invoke, RETRAINED + 1, RETRAINED + 2)
    found = newest_verdict(invoke)
    assert (found["champion_version"], found["trial"]["number"]) == ("8", 2)
    assert found["trial"]["opened_because"] == "it is now against champion 8, in trial 1 it was against champion 7"
    assert found["days"]["counted"] == 2
    assert found["days"]["champion_versions"] == [{"version": "8", "days": 2}]


def test_a_trial_against_the_service_goes_on_and_says_which_versions_it_met(world: World, invoke: Invoke) -> None:
    deploy(world, requests=SERVICE)
    assert run(invoke, 0, DAYS - 1)[0] == 0
    found = newest_verdict(invoke)
    assert found["outcome"] == "PASS", found["reasons"]
    assert (found["champion_version"], found["trial"]["number"], found["days"]["counted"]) == ("service", 1, DAYS)
    assert f"it is compared with {SERVED}: requests.champion_identity == service" in found["warnings"]
    assert len(trials(invoke)) == 1
    _, out, _ = invoke("verdict", "late")
    assert "versions 7 on 7 days, 8 on 8 days" in " ".join(out.split())
    _, out, _ = invoke("explain", "late", "--challenger", "other")
    assert f"other 1 against {SERVED}: PASS" in " ".join(out.split())
    path = world.folder / "page.html"
    code, _, err = invoke("report", "late", "--out", path)
    assert code == 0, err
    page = path.read_text()
    assert f"other 1 passes its blocking rule against {SERVED}" in page
    assert "Champion: <bdi>8, as the log says" in page
    assert invoke("verify", "late")[0] == 0


def test_evidence_against_the_service_is_that_of_all_versions_together(
    world: World, worlds: Callable[..., World], invoke: Invoke
) -> None:
    metrics = {"policy": {"rules": [{"metric": "roc_auc", "is": "superior"}]}, "metrics": ["roc_auc"]}
    deploy(world, requests=SERVICE, **metrics)
    run(invoke, RETRAINED)
    together = [evidence(world, metric) for metric in ("brier_score", "roc_auc")]
    world.change_production("UPDATE flights.prediction_log SET model_version = '7'")
    deploy(world, name="one_version", **metrics)
    invoke("run", "one_version", "--from", day(RETRAINED), "--to", day(RETRAINED))
    rows = world.query(
        "SELECT metric, day, sum(requests), sum(champion_sum), sum(difference_sum) FROM shadow.evidence "
        "WHERE champion_version = '7' AND slice_column = 'all' GROUP BY 1, 2"
    )
    alone = {metric: [tuple(row)] for metric, *row in rows}
    for metric, ((_, *figures),) in zip(("brier_score", "roc_auc"), together, strict=True):
        assert figures == pytest.approx(list(alone[metric][0][1:]), rel=1e-12), "but for the order of the draw"
        assert figures[1] > 0


def test_another_identity_of_the_champion_opens_another_trial(world: World, invoke: Invoke) -> None:
    deploy(world)
    run(invoke, 0, RETRAINED - 1)
    deploy(world, requests=SERVICE)
    run(invoke, RETRAINED)
    found = newest_verdict(invoke)
    assert (found["trial"]["number"], found["days"]["counted"]) == (2, 1), "days that were seen before do not count"
    assert found["trial"]["opened_because"] == (
        "it is now against whatever production serves, in trial 1 it was against champion 7"
    )
    code, out, err = invoke("verify", "late")
    assert code == 0, out + err


def test_a_pass_against_a_version_that_is_gone_promotes_nothing(world: World, invoke: Invoke) -> None:
    deploy(world, policy=LENIENT)
    run(invoke, 0, RETRAINED - 1)
    assert newest_verdict(invoke)["outcome"] == "PASS"
    code, shown = promote(invoke)
    assert code == 1
    assert f"{day(RETRAINED - 1)} was judged against champion 7, but the log now has version 8" in shown


def test_a_pass_against_the_service_promotes_whatever_version_the_log_has_by_now(world: World, invoke: Invoke) -> None:
    deploy(world, requests=SERVICE, policy=LENIENT)
    run(invoke, 0, RETRAINED - 1)
    code, shown = promote(invoke)
    assert code == 0, shown
    assert f"PASS of {day(RETRAINED - 1)} against whatever production serves (version 7 on 6 days), on" in shown
    ((before, against),) = world.query("SELECT from_version, compared_with FROM shadow.promotion")
    assert (before, against) == ("8", "service")


def test_a_pass_against_the_service_promotes_nothing_that_the_log_could_not_tell_apart(
    world: World, invoke: Invoke
) -> None:
    deploy(world, requests=SERVICE, challenger={"version": "8"}, policy=LENIENT)
    run(invoke, 0, RETRAINED - 1)
    assert newest_verdict(invoke)["outcome"] == "PASS"
    code, shown = promote(invoke)
    assert code == 1
    assert "its version 8 is also that of the current champion in the log" in shown


def test_who_passes_against_the_service_is_not_promoted_over_a_champion_that_it_has_not_met(
    world: World, invoke: Invoke
) -> None:
    model = f"onnx:{linear_model(world.folder / 'linear.onnx', {'dep_hour': 0.1})}"
    first = {"name": "first", "model": model, "trained_until": TRAINED_UNTIL}
    deploy(world, requests=SERVICE, challengers=[OTHER | {"trained_until": TRAINED_UNTIL}, first], policy=LENIENT)
    run(invoke, 0, RETRAINED)
    who = ("--approved-by", "ada", "--reason", "it is better", "--yes")
    code, out, err = invoke("promote", "late", "--challenger", "first", *who)
    assert code == 0, out + err
    code, shown = promote(invoke)
    assert code == 1
    served = "whatever production serves (versions 7 on 7 days, 8 on 1 day)"
    assert f"{day(RETRAINED)} was judged against {served}, but the champion is first 1, by promotion 1" in shown


def test_a_former_champion_is_judged_against_the_service_from_the_day_after_its_own_last(
    world: World, invoke: Invoke
) -> None:
    """Production serves the promoted model from noon of the first watched day on."""
    world.change_production(
        "UPDATE flights.prediction_log SET model_version = '7', champion_probability = %s", [LINEAR]
    )
    model = f"onnx:{linear_model(world.folder / 'linear.onnx', {'dep_hour': 0.1})}"
    champion, promotion = {"model": model, "version": "7"}, {"watch_days": 60}
    deploy(world, requests=SERVICE, champion=champion, promotion=promotion, policy=LENIENT)
    run(invoke, 0, RETRAINED)
    code, shown = promote(invoke)
    assert code == 0, shown
    world.change_production(RETRAIN.replace("'8'", "'1'"), [day(RETRAINED + 1)])
    assert run(invoke, RETRAINED + 1, RETRAINED + 3)[0] == 0
    ((days, against),) = world.query(
        "SELECT v.days, v.champion_version FROM shadow.verdict AS v JOIN shadow.model_version AS m "
        "ON m.id = v.challenger_id WHERE m.name = 'previous_champion' ORDER BY v.id DESC LIMIT 1"
    )
    assert against == "service"
    assert days["counted"] == 2, "not the days that it served itself"
    assert days["champion_versions"] == [{"version": "1", "days": 2}]


def test_a_promotion_request_says_how_many_trials_its_champion_has_seen(world: World, invoke: Invoke) -> None:
    world.change_production("UPDATE flights.prediction_log SET model_version = '7'")
    for number, value in enumerate((0.998, 0.999)):
        deploy(world, policy={"rules": [{"metric": "agreement", "is": "at_least", "value": value}]})
        run(invoke, number)
        assert newest_verdict(invoke)["outcome"] == "FAIL"
    deploy(world, policy=LENIENT)
    run(invoke, 2)
    code, shown = promote(invoke, "--force")
    assert "trial 3 of 3 against champion 7 (1 model; trials: 1 PASS, 2 FAIL, 0 open); see shadow trials late" in shown
    assert code == 1, "forcing is not allowed, so this only shows"


def test_a_challenger_of_the_service_is_replayed_on_days_of_every_version(world: World, invoke: Invoke) -> None:
    deploy(world, requests=SERVICE, challengers=[{"name": "a_a_check", "model": "champion"}])
    run(invoke, 0, RETRAINED + 1)
    deploy(world, requests=SERVICE, policy=LENIENT)
    code, out, err = invoke("replay", "late", "--challenger", "other")
    assert code == 0, err
    found = newest_verdict(invoke)
    assert (found["outcome"], found["days"]["counted"]) == ("PASS", RETRAINED + 2), (out, found["reasons"])
    assert [each["version"] for each in found["days"]["champion_versions"]] == ["7", "8"]
