"""One day of a deployment, step by step: what the DAG's tasks and the command line both call.

sample → validate_inputs → score → validate_predictions → collect_labels → compare → judge → gate

Each step reads what the steps before it left in the ledger and the snapshot store, so that any of them can be killed
and run again, anywhere, and the day ends the same.
"""

import datetime as dt
import logging
import math
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from shadow_deployment.base.memory import keep_freed
from shadow_deployment.base.prefetch import prefetch_map
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data import snapshots as snapshots_on_disk
from shadow_deployment.data.db import Session, exclusively
from shadow_deployment.data.quality.expectations import Validation, input_expectations, prediction_expectations
from shadow_deployment.data.quality.validation import validate
from shadow_deployment.data.rows import Rows, SnapshotRows
from shadow_deployment.errors import GateFailed, LedgerError, ShadowError, SourceError, ValidationFailed
from shadow_deployment.ledger import evidence, labels, predictions, replay_checks, snapshots, validations, verdicts
from shadow_deployment.ledger.batches.prediction_rows import PredictionRows
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.models.loading import load, model_digest
from shadow_deployment.pipeline import replay_check
from shadow_deployment.pipeline.judging import JudgedChallenger, judge_challenger
from shadow_deployment.pipeline.scoring import score as score_part

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SampledDay:
    """A day's snapshot in short, as the steps after it need it."""

    day: dt.date
    rows: int
    population: int
    shards: int


def sample(context: DeploymentContext, day: dt.date) -> SampledDay:
    """Draw the day's sample and register it, or find it as it was drawn before."""
    window = window_of(context.deployment, day)
    with context.ledger() as session, exclusively(session, f"sample/{context.deployment.name}/{day}"):
        registered = snapshots.find(session, context.deployment, day)
        session.commit()
        if registered is None:
            manifest = snapshots_on_disk.take(context.deployment, window, context.source, context.store)
            folder = snapshots_on_disk.folder_of(context.deployment, day)
            snapshots.register(session, context.deployment, manifest, context.store, folder)
        else:
            manifest = snapshots_on_disk.read_manifest(context.store, registered.location)
            snapshots.require_same(registered, manifest)
    if not manifest.rows:
        logger.warning(
            "%s: no request from %s in %s: the day gives no evidence; is the prediction log loaded up to there?",
            context.deployment.name,
            window,
            context.deployment.requests.table,
        )
    return SampledDay(day, manifest.rows, manifest.population, len(manifest.parts))


def validate_inputs(context: DeploymentContext, day: dt.date) -> Validation:
    """Check the day's inputs; raise ValidationFailed, after it was recorded, where an expectation does not hold."""
    with context.ledger() as session:
        snapshot = _require(session, context.deployment, day)
        manifest = snapshots_on_disk.read_manifest(context.store, snapshot.location)
        snapshots.require_same(snapshot, manifest)
        if not snapshot.rows:
            validation = Validation("", 0, [])
        else:
            rows = SnapshotRows(context.store, snapshot.location, manifest.parts)
            _require_features(context.deployment, day, rows)
            validation = validate(rows, input_expectations(context.deployment, snapshot.rows))
            _check_parity(context, session, snapshot, rows)
        validations.record(session, snapshot, None, validation)
    _require_success(validation, f"the inputs of {day}")
    return validation


def score(context: DeploymentContext, day: dt.date, challenger_name: str, shard: int) -> tuple[int, int]:
    """Let one challenger answer one shard and store it; return rows and errors. A scored shard stays as it is."""
    deployment = context.deployment
    challenger = deployment.challenger(challenger_name)
    digest = model_digest(challenger)
    with context.ledger() as session:
        snapshot = _require(session, deployment, day)
        key = predictions.challenger_id(session, deployment, challenger, digest)
        session.commit()
        scored = predictions.is_scored(session, snapshot, key, shard)
        session.commit()
        if scored is not None:
            return scored
        manifest = snapshots_on_disk.read_manifest(context.store, snapshot.location)
        snapshots.require_same(snapshot, manifest)
        part = manifest.parts[shard]
        predictor = load(context, challenger, window_of(deployment, day))
        file = snapshots_on_disk.read_part(context.store, snapshot.location, part)
        features, classes = deployment.requests.features, len(deployment.classes)
        answers = score_part(predictor, file, part.first_ordinal, features, classes=classes)
        return predictions.store(session, snapshot, key, shard, answers)


def validate_predictions(context: DeploymentContext, day: dt.date, challenger_name: str) -> Validation:
    """Check one challenger's predictions; raise ValidationFailed, after it was recorded, where one does not hold.

    Raises LedgerError where not every shard was scored.
    """
    deployment = context.deployment
    challenger = deployment.challenger(challenger_name)
    digest = model_digest(challenger)
    with context.ledger() as session:
        snapshot = _require(session, deployment, day)
        key = predictions.challenger_id(session, deployment, challenger, digest)
        scored = predictions.rows_scored(session, snapshot, key)
        if scored != snapshot.rows:
            raise LedgerError(
                f"challenger {challenger.name} has answered {scored} of the {snapshot.rows} requests of {day}: "
                "scoring did not end; run the day's score tasks again"
            )
        if not snapshot.rows:
            return Validation("", 0, [])
        rows = PredictionRows(session, snapshot, key)
        validation = validate(rows, prediction_expectations(deployment, snapshot.rows))
        validations.record(session, snapshot, key, validation)
    _require_success(validation, f"the predictions of {challenger.name} for {day}")
    return validation


def collect_labels(context: DeploymentContext, day: dt.date) -> list[dt.date]:
    """Collect the labels that have become known, for every day that still waits for some; return the days to compare.

    Labels count as known up to the end of the newest window there is, never up to the clock: so a backfill sees what
    the daily run saw, and days may be run in any order.
    """
    deployment = context.deployment
    maturity = labels.maturity_of(deployment)
    with context.ledger() as session:
        taken = snapshots.snapshots(session, deployment, None, None)
        cutoff = max([window_of(deployment, day).end, *(one.window_end for one in taken)])
        for snapshot in labels.due(taken, maturity, cutoff):
            _collect(context, session, snapshot, labels.until(snapshot, maturity, cutoff))
        keys = identities(session, deployment).values()
        stale = evidence.stale(session, taken, list(keys), evidence.statement_digest(deployment))
    return sorted({stale_day for stale_day, _ in stale})


def compare(context: DeploymentContext, day: dt.date) -> int:
    """Compute a day's evidence where it is missing or stale; return how many rows changed."""
    keep_freed()
    deployment = context.deployment
    statement = evidence.statement_digest(deployment)
    with context.ledger() as session:
        snapshot = _require(session, deployment, day)
        keys = list(identities(session, deployment).values())
        with exclusively(session, f"compare/{snapshot.id}"):
            stale = evidence.stale(session, [snapshot], keys, statement)
            if stale:
                evidence.analyze(session, snapshot)
                return evidence.compare(session, deployment, snapshot, [key for _, key in stale])
            return 0


def judge(context: DeploymentContext, day: dt.date, challenger_name: str) -> JudgedChallenger:
    """Judge one challenger on the evidence up to a day, and keep the verdict."""
    keep_freed()
    deployment = context.deployment
    challenger = deployment.challenger(challenger_name)
    digest = model_digest(challenger)
    with context.ledger() as session:
        key = predictions.challenger_id(session, deployment, challenger, digest)
        judged = judge_challenger(session, deployment, challenger, key, day)
        verdicts.store(
            session,
            deployment,
            day=day,
            challenger=key,
            champion_version=judged.champion_version,
            verdict=judged.verdict,
            warnings=judged.warnings,
            explanation=judged.explanation,
            judged_on=judged.judged_on,
        )
    return judged


def gate(context: DeploymentContext, day: dt.date, only: Collection[str] | None = None) -> dict[str, str]:
    """Return each challenger's outcome; raise GateFailed where one fails or the day's evidence is not comparable.

    `only` names the challengers that the run is about; None means all.
    """
    deployment = context.deployment
    names = [one.name for one in deployment.challengers if only is None or one.name in only]
    with context.ledger() as session:
        stored = verdicts.latest(session, deployment, day)
        problems = _incomparable(session, deployment, day, names)
    outcomes: dict[str, str] = {}
    for name in names:
        verdict = stored.get(name)
        if verdict is None or verdict.day != day:
            problems.append(f"{name} was not judged on {day}: see its tasks before the gate")
            continue
        outcomes[name] = verdict.outcome
        logger.info("%s: %s. %s", name, verdict.outcome, "; ".join(verdict.reasons))
        problems += _alarm(deployment, deployment.challenger(name), verdict)
    if problems:
        raise GateFailed("\n".join([f"{deployment.name} on {day}: the gate is closed", *problems]))
    return outcomes


def scoring_plan(deployment: Deployment, shards: int, only: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Return what is to be scored: every challenger on every shard, or only the named challengers."""
    names = [one.name for one in deployment.challengers if only is None or one.name in only]
    return [{"challenger": name, "shard": shard} for name in names for shard in range(shards)]


def _require_features(deployment: Deployment, day: dt.date, rows: Rows) -> None:
    missing = [name for name in deployment.requests.features if name not in rows.schema.names]
    if missing:
        raise ValidationFailed(
            f"{day} was drawn before requests.features had {', '.join(missing)}: its evidence stays as it is, and a "
            "challenger that needs them has none for that day"
        )


def _check_parity(context: DeploymentContext, session: Session[Any], snapshot: Snapshot, rows: Rows) -> None:
    champion = context.deployment.champion
    if champion is None:
        return
    model = champion.as_challenger
    predictor = load(context, model, window_of(context.deployment, snapshot.day))
    found = replay_check.check(champion, predictor, rows)
    if found.mismatched:
        logger.warning("%d of %d requests differ when scored again", found.mismatched, found.checked)
    replay_checks.record(session, snapshot, champion, model_digest(model), found)


def _require(session: Session[Any], deployment: Deployment, day: dt.date) -> Snapshot:
    snapshot = snapshots.find(session, deployment, day)
    if snapshot is None:
        raise LedgerError(f"deployment {deployment.name}: {day} was not sampled; run its sample step first")
    return snapshot


def _require_success(validation: Validation, what: str) -> None:
    if not validation.success:
        lines = "\n".join(f"- {failure}" for failure in validation.failures)
        raise ValidationFailed(
            f"{len(validation.failures)} of {validation.evaluated} expectations do not hold on {what}:\n{lines}"
        )


def identities(session: Session[Any], deployment: Deployment) -> Mapping[str, int]:
    """Return the keys of the challengers' models as they are now; one whose model is missing is left out."""
    keys: dict[str, int] = {}
    for challenger in deployment.challengers:
        try:
            digest = model_digest(challenger)
        except ShadowError as error:
            logger.warning("%s", error)
            continue
        keys[challenger.name] = predictions.challenger_id(session, deployment, challenger, digest)
    session.commit()
    return keys


def _collect(context: DeploymentContext, session: Session[Any], snapshot: Snapshot, until: dt.datetime) -> None:
    since = labels.lock(session, snapshot)
    if since is not None and since >= until:
        session.commit()
        return
    with closing(_arrived(context, labels.requests(session, snapshot), since, until)) as arrived:
        labels.add(session, snapshot, arrived, since, until)


def _arrived(
    context: DeploymentContext, batches: Iterable[pa.Table], since: dt.datetime | None, until: dt.datetime
) -> Generator[pa.Table]:
    def found(requests: pa.Table) -> pa.Table:
        arrived = context.source.labels(requests, since, until)
        _require_class(context.deployment, requests, arrived)
        return arrived

    return prefetch_map(found, batches)


def _require_class(deployment: Deployment, requests: pa.Table, arrived: pa.Table) -> None:
    where, values = deployment.labels.column, arrived["value"].to_numpy()
    wrong = ~np.isfinite(values)
    if deployment.task == "binary":
        wrong |= (values != 0) & (values != 1)
    elif deployment.task == "multiclass":
        wrong |= values < 0
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    place = requests["ordinal"].index(arrived["ordinal"][row]).as_py()
    value, request = float(values[row]), requests["request_id"][place]
    if deployment.task == "multiclass" and value < 0:
        classes = ", ".join(deployment.classes)
        raise SourceError(f"{where} of request {request} is none of the classes, must be one of {classes}")
    allowed = "must be finite"
    if deployment.task == "binary" and math.isfinite(value):
        allowed = "must be 0 or 1 (or false or true) where task is binary"
    raise SourceError(f"{where} == {value} for request {request}, {allowed}")


def _alarm(deployment: Deployment, challenger: Challenger, verdict: verdicts.Stored) -> Iterator[str]:
    """Yield what a verdict closes the gate with: a challenger that fails, or a former champion that passes."""
    if challenger.is_watched and verdict.outcome == "PASS":
        yield (
            f"{challenger.name} {verdict.version} is better than {verdict.champion_version}, which has followed it, on "
            f"every rule: roll back with the DAG shadow_{deployment.name}_rollback or "
            f"shadow rollback {deployment.name}"
        )
    elif not challenger.is_watched and verdict.outcome == "FAIL":
        yield f"{challenger.name} FAILS: {verdict.reasons[0]}"


def _incomparable(session: Session[Any], deployment: Deployment, day: dt.date, names: Collection[str]) -> list[str]:
    snapshot = snapshots.find(session, deployment, day)
    if snapshot is None:
        return [f"{day} was not sampled: see the task sample"]
    if not snapshot.rows:
        return []
    said = {one.challenger_id: one for one in validations.recorded(session, [snapshot])}
    keys = identities(session, deployment)
    subjects: list[tuple[str, int | None]] = [("inputs", None)]
    subjects += [(f"predictions of {name}", keys.get(name, -1)) for name in names]
    problems: list[str] = []
    for subject, key in subjects:
        found = said.get(key)
        if found is None:
            problems.append(f"{subject} were not validated: see the tasks before the gate")
        elif not found.success:
            problems.append(f"{subject} do not meet their expectations: {found.summary}")
    return problems


def check_suites(deployment: Deployment) -> None:
    """Raise DeploymentError where a suite is missing or no suite."""
    input_expectations(deployment, 0)
    prediction_expectations(deployment, 0)
