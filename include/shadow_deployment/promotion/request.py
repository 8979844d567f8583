"""The promotion request: who would replace whom, on which verdict, and what prevents it."""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session, clock
from shadow_deployment.data.ports import UNVERSIONED
from shadow_deployment.data.sampling import digest
from shadow_deployment.decision.trial import SERVICE, difference
from shadow_deployment.errors import ModelError
from shadow_deployment.ledger import predictions, snapshots, trials
from shadow_deployment.ledger.registry import promotions
from shadow_deployment.ledger.registry.promotions import CurrentChampion, ModelVersion
from shadow_deployment.ledger.verdicts import StoredVerdict
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline.challengers.basis import logged_version
from shadow_deployment.pipeline.challengers.judging import judge_challenger
from shadow_deployment.pipeline.challengers.trials import terms_of
from shadow_deployment.promotion.trial_tally import TrialTally, tally

BEFORE_THE_FIRST = "champion"  # name of the champion before the first promotion


@dataclass(frozen=True)
class PromotionRequest:
    """What a promotion would rest on.

    `champion` is the registry's, or before the first promotion the logged one; `log_version` is the version in the log
    now. `tried` says how often the champion was challenged, None where nothing was judged in a trial. `barred` always
    prevents the promotion, `problems` prevent it unless it is forced.
    """

    deployment: str
    challenger: ModelVersion
    champion: CurrentChampion
    log_version: str
    verdict: StoredVerdict | None
    tried: TrialTally | None
    policy: dict[str, Any]
    barred: tuple[str, ...]
    problems: tuple[str, ...]

    @cached_property
    def parts(self) -> dict[str, str]:
        """The digest of each part that is approved."""
        named = {
            "challenger": asdict(self.challenger),
            "champion": asdict(self.champion),
            "version in the log": self.log_version,
            "verdict": asdict(self.verdict) if self.verdict else None,
            "trials": asdict(self.tried) if self.tried else None,
            "policy": self.policy,
        }
        return {name: digest([self.deployment, part]) for name, part in named.items()}

    @property
    def digest(self) -> str:
        """The request's identity: the same until something that it rests on changes."""
        return digest(self.parts)


@dataclass(frozen=True)
class ObservedState:
    """What is known before the deployment is locked.

    `digest` is of the challenger's model file, `log_version` the version in production's log. `outcome` is that of its
    newest verdict, computed again from the ledger's facts; None where it has none.
    """

    digest: str
    log_version: str
    outcome: str | None


def observe(context: DeploymentContext, session: Session[Any], challenger_name: str) -> ObservedState:
    """Read the model file and production's log, and judge anew.

    Raises:
        DeploymentError: the challenger is unknown.
        ModelError: its model is missing.
        SourceError: the log cannot be read.
    """
    challenger = context.deployment.challenger(challenger_name)
    digest_now = model_digest(challenger)
    outcome = outcome_now(session, context.deployment, challenger, digest_now)
    return ObservedState(digest_now, _log_version(context, session), outcome)


def outcome_now(session: Session[Any], deployment: Deployment, challenger: Challenger, digest_now: str) -> str | None:
    """Return the outcome that a challenger's newest verdict has by the facts of now; None where it has none."""
    newest = promotions.judgement(session, deployment, challenger.name, None)
    key = predictions.find_challenger(session, deployment, challenger, digest_now)
    if newest is None or key is None:
        return None
    judged = judge_challenger(session, deployment, challenger, key, newest.day)
    return judged.verdict.outcome


def assemble(
    session: Session[Any],
    deployment: Deployment,
    challenger_name: str,
    observed: ObservedState,
    day: dt.date | None = None,
) -> PromotionRequest:
    """Assemble a request from the ledger and what was observed; `day` None means the newest judged one."""
    declared = deployment.challenger(challenger_name)
    history = promotions.history(session, deployment)
    champion = history[-1].champion if history else _logged_champion(deployment, observed.log_version)
    challenger = ModelVersion(declared.name, declared.version, observed.digest, declared.model)
    newest = promotions.judgement(session, deployment, declared.name, None)
    verdict = newest if day is None else promotions.judgement(session, deployment, declared.name, day)
    problems = [
        *_policy_problems(deployment, declared, verdict),
        *_verdict_problems(challenger, verdict, newest, day),
        *_outdated(session, deployment, verdict, observed),
        *_champion_problems(challenger, champion, observed.log_version, verdict),
    ]
    return PromotionRequest(
        deployment=deployment.name,
        challenger=challenger,
        champion=champion,
        log_version=observed.log_version,
        verdict=verdict,
        tried=_tried(session, deployment, verdict),
        policy=_policy(deployment),
        barred=tuple(_barred(declared, challenger, champion)),
        problems=tuple(problems),
    )


def _tried(session: Session[Any], deployment: Deployment, verdict: StoredVerdict | None) -> TrialTally | None:
    if verdict is None or verdict.trial is None:
        return None
    return tally(trials.trials(session, deployment), verdict.trial)


def _barred(declared: Challenger, challenger: ModelVersion, champion: CurrentChampion) -> Iterator[str]:
    if declared.is_a_a_check:
        yield f"{declared.name} is the A/A check, the champion against itself: it is never promoted"
    if declared.is_watched:
        yield f"{declared.name} was champion until promotion {champion.number}; roll that back instead"
    identity = (champion.name, champion.version, champion.digest)
    if champion.number and (challenger.name, challenger.version, challenger.digest) == identity:
        yield f"it is already champion: {champion}"


def _policy_problems(deployment: Deployment, declared: Challenger, verdict: StoredVerdict | None) -> Iterator[str]:
    if not any(rule.role == "blocking" for rule in deployment.policy.rules):
        yield "the policy has no blocking rule, and advisory rules decide nothing; make one blocking"
    if verdict is None:
        return
    if verdict.policy != _policy(deployment):
        yield f"the policy has changed since {verdict.day} was judged: judge it again"
    changed = difference(verdict.terms or {}, terms_of(deployment, declared))
    if changed:
        yield f"{changed} changed since {verdict.day} was judged, which opens a new trial: judge it again"


def _verdict_problems(
    challenger: ModelVersion, verdict: StoredVerdict | None, newest: StoredVerdict | None, day: dt.date | None
) -> Iterator[str]:
    if verdict is None:
        yield f"it was never judged{'' if day is None else f' on {day}'}: run a day"
        return
    if newest is not None and newest.day > verdict.day:
        yield (
            f"the verdict of {verdict.day} is superseded by that of {newest.day}, {newest.outcome}: promote on the "
            "newest verdict"
        )
    if verdict.outcome != "PASS":
        reason = f": {verdict.reasons[0]}" if verdict.reasons else ""
        yield f"its newest verdict, of {verdict.day}, is {verdict.outcome}, must be PASS{reason}"
    if (verdict.version, verdict.model_digest) != (challenger.version, challenger.digest):
        yield (
            f"its model is now version {challenger.version} with digest {_short(challenger.digest)}, but version "
            f"{verdict.version} with digest {_short(verdict.model_digest)} was judged on {verdict.day}: "
            f"restore that one at {challenger.uri}, or judge the new one"
        )


def _outdated(
    session: Session[Any], deployment: Deployment, verdict: StoredVerdict | None, observed: ObservedState
) -> Iterator[str]:
    """Yield why a PASS does not hold any more: it was given long ago, or the ledger's facts do not give it."""
    if verdict is None or verdict.outcome != "PASS":
        return
    days = deployment.promotion.valid_days
    if verdict.judged_at + dt.timedelta(days=days) < clock(session):
        yield (
            f"its PASS of {verdict.day} was given on {verdict.judged_at:%Y-%m-%d}, more than {days} days ago "
            "(promotion.valid_days): judge it again"
        )
    if observed.outcome != "PASS":
        now = observed.outcome or "none"
        yield (
            f"its verdict of {verdict.day} says PASS, and the ledger's evidence gives {now} now: "
            f"shadow verify {deployment.name} says what differs; judge it again"
        )


def _champion_problems(
    challenger: ModelVersion, champion: CurrentChampion, log_version: str, verdict: StoredVerdict | None
) -> Iterator[str]:
    if challenger.version == log_version:
        yield (
            f"its version {challenger.version} is also that of the current champion in the log, which could not tell "
            "them apart: give it another version, or log NAME@VERSION"
        )
    if verdict is None:
        return
    against = f"{verdict.day} was judged against {verdict.champion}"
    if champion.number and UNVERSIONED in verdict.compared_with:
        yield f"{against}: declare requests.version, so that the log names the champion"
    elif champion.number and not verdict.compared_with & set(champion.logged_as):
        yield (
            f"{against}, but the champion is {champion}: collect evidence against it, logged as version "
            f"{' or '.join(champion.logged_as)}"
        )
    elif verdict.champion_version not in (SERVICE, log_version):
        yield f"{against}, but the log now has version {log_version}: collect evidence against that"


def _logged_champion(deployment: Deployment, version: str) -> CurrentChampion:
    """Return the champion before the first promotion, with its model where the deployment declares it."""
    declared = deployment.champion
    if declared is None or declared.version not in (None, version):
        return CurrentChampion(BEFORE_THE_FIRST, version, None, None)
    try:
        champion_digest: str | None = model_digest(declared.as_challenger)
    except ModelError:
        champion_digest = None
    return CurrentChampion(BEFORE_THE_FIRST, version, champion_digest, declared.model)


def _log_version(context: DeploymentContext, session: Session[Any]) -> str:
    """Return the version of the newest request in the log, or of the newest sampled one where none is newer."""
    deployment = context.deployment
    taken = snapshots.snapshots(session, deployment, None, None)
    since = window_of(deployment, taken[-1].day).start if taken else None
    return context.request_source.newest_version(since) or logged_version(taken)


def _policy(deployment: Deployment) -> dict[str, Any]:
    policy: dict[str, Any] = json.loads(deployment.policy.model_dump_json(by_alias=True))
    return policy


def _short(value: str | None) -> str:
    return value[:12] if value else "none"
