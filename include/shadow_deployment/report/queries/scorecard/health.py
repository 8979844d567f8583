"""The health line: what a verdict relies on beside its evidence, each good, in need of attention, or an alarm."""

from collections.abc import Iterator, Sequence
from typing import Any

from shadow_deployment.alerting.outbox import targets
from shadow_deployment.base.numbers import count, number, percent, plural
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import has_several_windows
from shadow_deployment.data.db import Session
from shadow_deployment.ledger.audit import chain
from shadow_deployment.ledger.checks import replay_checks, verifications
from shadow_deployment.ledger.registry.serving import served_day
from shadow_deployment.ledger.verdicts import StoredVerdict
from shadow_deployment.report.analyses.drift import MODERATE, DriftView
from shadow_deployment.report.queries.summary import DeploymentSummary
from shadow_deployment.report.scorecard import Health, HealthItem
from shadow_deployment.report.views import DeploymentView
from shadow_deployment.report.wording import moment

_MOST_DRIFTING = 3  # that are named
_MOST_GAPS = 3  # days with missing windows that are named
_HALF_OF_A_RATE = 0.5  # of the declared sampling rate, below which the sample is called small


def health(
    session: Session[Any], deployment: Deployment, known: DeploymentSummary, view: DeploymentView
) -> tuple[HealthItem, ...]:
    """Return the items of the health line; none before the first sampled day."""
    if not known.sampled:
        return ()
    return (
        _a_a_check(known),
        _labels(deployment, view),
        _left_out(view.verdict, view.period),
        drift_item(view.drift),
        *_windows(deployment, known),
        _sampling(deployment, known),
        _served(session, deployment, known),
        _channels(deployment, view),
        _replay(session, deployment, known),
        _verified(session, deployment),
    )


def _item(name: str, section: str, level: Health, word: str, detail: str) -> HealthItem:
    return HealthItem(name, level, word, detail, section)


def _a_a_check(known: DeploymentSummary) -> HealthItem:
    name, line = "A/A check", next((line for line in known.lines if line.role == "a_a_check"), None)
    if line is None:
        return _item(name, "operation", "attention", "none", "add a challenger with model: champion")
    if line.status.stage == "a_a_alarm":
        return _item(name, "operation", "alarm", "differs", "the champion differs from itself: trust no verdict")
    if line.outcome is None:
        return _item(name, "operation", "attention", "not judged", line.waiting or f"run a {line.period}")
    return _item(name, "operation", "good", "as expected", f"no difference on {plural(line.days, line.period)}")


def _labels(deployment: Deployment, view: DeploymentView) -> HealthItem:
    name, mature = "Label coverage", [day for day in view.labels if day.mature and day.sampled]
    sampled, least = sum(day.sampled for day in mature), deployment.policy.minimum_coverage
    if not sampled:
        return _item(name, "operation", "attention", "none yet", f"no {view.period} has all its labels")
    share = sum(day.labelled for day in mature) / sampled
    bad = {
        "contradicted": sum(day.contradicted for day in mature),
        "invalid": sum(day.invalid for day in mature),
        "known before the request": sum(day.early for day in mature),
    }
    refused = ", ".join(f"{count(number)} {words}" for words, number in bad.items() if number)
    detail = f"of {count(sampled)} requests on {plural(len(mature), view.period)}; at least {percent(least)} for PASS"
    level: Health = "alarm" if share < least else "attention" if refused else "good"
    return _item(name, "operation", level, percent(share), f"{detail}; {refused}" if refused else detail)


def _left_out(verdict: StoredVerdict | None, period: str) -> HealthItem:
    name = f"{period.capitalize()}s left out"
    if verdict is None:
        return _item(name, "provenance", "attention", "not known", "no verdict yet")
    days, counted = verdict.days.get("left_out", []), plural(int(verdict.days.get("counted", 0)), period)
    if not days:
        return _item(name, "provenance", "good", "none", f"{counted} of the trial counted")
    named = ", ".join(f"{each['day']} ({each['why']})" for each in days[-3:])
    refused = any("policy.max_days_left_out" in reason for reason in verdict.reasons)
    return _item(name, "provenance", "alarm" if refused else "attention", str(len(days)), f"{named}; {counted} counted")


def _windows(deployment: Deployment, known: DeploymentSummary) -> Iterator[HealthItem]:
    """Yield, of a deployment with several windows a day, whether one is missing."""
    name, section = "Windows", "provenance"
    if not has_several_windows(deployment):
        return
    if known.gaps:
        remedy = f"shadow run {deployment.name} --missing runs them"
        yield _item(name, section, "attention", "missing", f"{'; '.join(known.gaps[-_MOST_GAPS:])}; {remedy}")
    else:
        yield _item(name, section, "good", "all sampled", f"{len(known.sampled[-1].windows)} on {known.last_day}")


def drift_item(view: DriftView | None) -> HealthItem:
    """Say what has moved since the first days; nothing is judged on it, so it is no alarm."""
    name, section = "Drift", "drift"
    if view is None:
        return _item(name, section, "attention", "not known", "no day was compared with the first days yet")
    if not view.is_rated:
        return _item(name, section, "good", "too early", "rated after a week against the same first 14 days")
    since = f"against the first {plural(view.reference_days, view.period)}; PSI of the {view.newest} taken together"
    if not view.drifting:
        return _item(name, section, "good", "none", f"{since} below {MODERATE:g}, or what small samples differ by")
    most = ", ".join(f"{each.name} {number(each.lately)}" for each in view.drifting[:_MOST_DRIFTING])
    more = len(view.drifting) - _MOST_DRIFTING
    words = f"{most}{f' and {more} more' if more > 0 else ''} {since}"
    return _item(name, section, "attention", f"{view.drifting[0].strength} in {len(view.drifting)}", words)


def _sampling(deployment: Deployment, known: DeploymentSummary) -> HealthItem:
    name, newest, rate = "Sampling rate", known.sampled[-1], deployment.sample.rate
    if not newest.population:
        return _item(name, "provenance", "alarm", "no requests", f"on {newest.day}")
    share = newest.rows / newest.population
    detail = f"{count(newest.rows)} of {count(newest.population)} requests on {newest.day}"
    is_small = share < _HALF_OF_A_RATE * min([rate, *deployment.sample.rates.values()])
    words = f"{detail}; {percent(rate)} declared"
    return _item(name, "provenance", "attention" if is_small else "good", percent(share), words)


def _served(session: Session[Any], deployment: Deployment, known: DeploymentSummary) -> HealthItem:
    """Say which versions the newest day's log has, and whether they are the champion that was promoted."""
    name, newest, followed = "Production serves", known.sampled[-1], served_day(session, deployment)
    versions = ", ".join(newest.champion_versions)
    if not versions:
        return _item(name, "history", "alarm", "nothing", f"no request has a version on {newest.day}")
    if followed is not None and followed.others:
        return _item(name, "history", "alarm", versions, str(followed))
    level: Health = "good" if len(newest.champion_versions) == 1 else "attention"
    return _item(name, "history", level, versions, f"on {newest.day}")


def _channels(deployment: Deployment, view: DeploymentView) -> HealthItem:
    name, channels = "Alerts go to", targets(deployment.alerts)
    lost = sum(bool(alert.undelivered) for alert in view.alerts)
    if not channels:
        return _item(name, "history", "attention", "nobody", "alerts.channels is empty: nobody is told")
    words = ", ".join(dict.fromkeys(channel.kind for channel in channels.values()))
    if lost:
        return _item(name, "history", "alarm", words, f"{plural(lost, 'alert')} not delivered")
    return _item(name, "history", "good", words, plural(len(channels), "channel"))


def _replay(session: Session[Any], deployment: Deployment, known: DeploymentSummary) -> HealthItem:
    name = "Replay check"
    if deployment.champion is None:
        return _item(name, "expectations", "attention", "none", "champion.model is not declared: skew would go unseen")
    checked = replay_checks.totals(session, known.sampled)
    if not checked.days:
        return _item(name, "expectations", "attention", "not run", f"no {deployment.policy.period} has been replayed")
    requests = f"{count(int(checked.checked))} requests on {plural(checked.days, deployment.policy.period)}"
    if checked.mismatched:
        detail = (
            f"the champion's own model predicts otherwise than the log: {count(int(checked.mismatched))} of {requests}"
        )
        return _item(name, "expectations", "alarm", "mismatch", detail)
    return _item(name, "expectations", "good", "matches", f"the champion's own model repeats its log: {requests}")


def _verified(session: Session[Any], deployment: Deployment) -> HealthItem:
    name, head, newest = "Ledger", chain.head(session, deployment), verifications.newest(session, deployment)
    at = f"chain at {head}" if head else "the chain is empty"
    if newest is None:
        return _item(name, "provenance", "attention", "never verified", f"{at}; shadow verify {deployment.name}")
    when = moment(newest.verified_at)
    if newest.difference is not None:
        return _item(name, "provenance", "alarm", "differs", f"{newest.difference} ({when})")
    word = "verified" if newest.is_complete else "verified in part"
    counts = ", ".join(f"{count(number)} {kind}" for kind, number in newest.verified.items())
    period = deployment.policy.period
    which = f"every {period}" if newest.days is None else _named(newest.days, period)
    level: Health = "good" if newest.is_complete else "attention"
    return _item(name, "provenance", level, word, f"{when}, {which}: {counts}; {at}")


def _named(days: Sequence[object], period: str) -> str:
    return " and ".join(map(str, days)) if len(days) <= 2 else plural(len(days), period)
