"""Verdicts and promotions as metrics, through whatever Airflow sends its own to: StatsD, OpenTelemetry or Datadog.

A metric is called `shadow.NAME` and carries tags. StatsD by itself knows no tags, so where Airflow's
`[metrics] legacy_names_on` is true, as it is by default, each is sent a second time under a name that holds them:
`shadow.DEPLOYMENT.CHALLENGER.NAME`. In tags and names a character that StatsD does not allow becomes `_`.
"""

import datetime as dt
import hashlib
import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk.configuration import conf
from airflow.sdk.observability.stats import Stats

from shadow_deployment.context import DeploymentContext
from shadow_deployment.decision.calendar import newest_coverage
from shadow_deployment.decision.words.finding import findings_of
from shadow_deployment.ledger import snapshots, verdicts
from shadow_deployment.ledger.labels import maturity_of
from shadow_deployment.ledger.registry.promotions import PromotionRecord
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.ledger.verdicts import StoredVerdict

logger = logging.getLogger(__name__)

OUTCOMES = {"PASS": 1, "INCONCLUSIVE": 0, "FAIL": -1}
LONGEST = 40  # characters of a column's name or value; Airflow drops names of more than 250
_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")


def verdict(context: DeploymentContext, challenger: str, day: dt.date) -> None:
    """Send a challenger's verdict of a day, and what the day rests on; a failure to send is logged.

    Gauges: `verdict` (1 PASS, 0 INCONCLUSIVE, -1 FAIL) with the tags deployment and challenger; `estimate`, `lower` and
    `upper` of each gate, in the rule's unit and where there is one, with metric, rule and slice besides; with the tag
    deployment alone `requests` and `sampled` of the day, and `label_coverage`, the share of sampled requests with a
    label on the newest day of which no label is expected any more.

    A day before the newest that was judged is not sent: a gauge says how things are now.
    """
    deployment = context.deployment
    with _quietly(f"the verdict of {challenger} on {day}"):
        with context.ledger() as session:
            stored = verdicts.latest(session, deployment).get(challenger)
            taken = snapshots.snapshots(session, deployment, None, day)
        if stored is None or stored.day != day:
            logger.info("the verdict of %s on %s is not the newest: no metric is sent", challenger, day)
            return
        tags = {"deployment": deployment.name, "challenger": challenger}
        _gauge("verdict", OUTCOMES[stored.outcome], tags)
        _rules(stored, tags)
        _day(taken, newest_coverage(taken, maturity_of(deployment)), {"deployment": deployment.name})


def promotion(deployment: str, made: PromotionRecord) -> None:
    """Count a promotion or rollback: `promotion`, with the tags deployment, challenger and kind; failures are logged.

    The challenger is who is champion now; the kind is promotion, forced or rollback.
    """
    with _quietly(f"promotion {made.number} of {deployment}"):
        tags = {"deployment": deployment, "challenger": made.name, "kind": made.kind}
        Stats.incr("shadow.promotion", tags=tags)
        if _by_name():
            Stats.incr(_name("promotion", tags))


def _rules(stored: StoredVerdict, tags: dict[str, str]) -> None:
    for finding in findings_of(stored.findings):
        if finding.is_blocking:
            rule = {**tags, "metric": finding.metric, "rule": finding.is_, "slice": _slice(finding.slice)}
            for name in ("estimate", "lower", "upper"):
                _gauge(name, getattr(finding, name), rule)


def _day(taken: list[Snapshot], coverage: float | None, tags: dict[str, str]) -> None:
    for newest in taken[-1:]:
        _gauge("requests", newest.population, tags)
        _gauge("sampled", newest.rows, tags)
    _gauge("label_coverage", coverage, tags)


def _gauge(name: str, value: float | None, tags: dict[str, str]) -> None:
    if value is None or not math.isfinite(value):
        return
    Stats.gauge(f"shadow.{name}", value, tags=tags)
    if _by_name():
        Stats.gauge(_name(name, tags), value)


def _name(name: str, tags: dict[str, str]) -> str:
    return ".".join(["shadow", *tags.values(), name])


def _by_name() -> bool:
    return bool(conf.getboolean("metrics", "legacy_names_on", fallback=True))


def _slice(name: str) -> str:
    """Return a slice, all or column=value, in characters that are allowed: all or column-value."""
    return "-".join(_word(part) for part in name.split("=", 1))


def _word(text: str) -> str:
    """Return a text in allowed characters; what that makes another text, or a shorter one, keeps apart by a digest."""
    word = _FORBIDDEN.sub("_", text)[:LONGEST]
    return word if word == text else f"{word}_{hashlib.blake2s(text.encode(), digest_size=3).hexdigest()}"


@contextmanager
def _quietly(what: str) -> Iterator[None]:
    """Let a failure to send be a line in the log: it must not fail what has been decided."""
    try:
        yield
    except Exception:
        logger.exception("no metric of %s is sent", what)
