"""What one deployment needs beside its databases: suites, models, the snapshots' store, and what it depends on."""

import datetime as dt
import json
import random
from collections.abc import Iterator
from functools import partial

from shadow_deployment.config.actions import Dependency
from shadow_deployment.context import DeploymentContext
from shadow_deployment.doctor import models
from shadow_deployment.doctor.checks import Probe, SkippedError
from shadow_deployment.doctor.databases import ledger_probes, production_probes
from shadow_deployment.doctor.horizon import decides_within_a_year
from shadow_deployment.doctor.production import indexes
from shadow_deployment.doctor.production.requests import KnownRequests, joined, served, unfiltered
from shadow_deployment.errors import LedgerError, RegistryError, SnapshotError, TransientError
from shadow_deployment.ledger import snapshots
from shadow_deployment.ledger.registry.serving import served_day
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.custom_values import check_custom_metrics
from shadow_deployment.pipeline.history.verify import verify

_SECONDS = 10
_VERIFY_SECONDS = 30
_PROBE = "doctor.json"


def probes(context: DeploymentContext, day: dt.date) -> Iterator[Probe]:
    """Yield what to look at for a deployment that runs on a day."""
    deployment = context.deployment
    yield from ledger_probes(context)
    yield from production_probes(context)
    known = KnownRequests(context)
    yield from _production(known)
    yield Probe("suites", partial(_suites, context), "correct expectations.inputs or expectations.predictions")
    if deployment.custom_metrics:
        yield Probe(
            "metrics", partial(_metrics, context), "correct the functions of metrics, or put their modules there"
        )
    yield from models.probes(context, known, day)
    yield Probe(
        "snapshots",
        partial(_store, context),
        "let store.snapshots be a place that every worker reads and writes, with the credentials of snapshots_conn_id",
    )
    yield Probe(
        "evidence",
        partial(_evidence, context, day),
        f"shadow verify {deployment.name} names what differs: restore it from a backup, or judge the day again",
        ("ledger", "migrations", "snapshots"),
    )
    yield Probe(
        "time to decide",
        partial(decides_within_a_year, context),
        "change the margin or the sample, or leave it where it is meant so",
        ("ledger", "migrations"),
    )
    yield Probe(
        "served champion",
        partial(_served, context),
        f"let production serve the champion, as the view shadow.champion says, or shadow rollback {deployment.name}",
        ("ledger", "migrations"),
    )
    yield from _documents(context)
    for dependency in deployment.dependencies:
        yield Probe(
            f"dependency {dependency.name}",
            partial(_answers, dependency),
            f"start {dependency.name}, or correct its url in dependencies",
        )


def _production(known: KnownRequests) -> Iterator[Probe]:
    """Yield what to look at in the log and the labels themselves."""
    yield from indexes.probes(known.context)
    yield Probe("newest requests", known.look, "look at the log, and at requests in the file", ("tables and columns",))
    looks = {
        "labels join": (partial(joined, known), "let labels.id, or labels.key, be what the ids of requests are"),
        "logged version": (
            partial(served, known),
            "log the version and name its column in requests.version, or set requests.champion_identity: service",
        ),
        "filtered log": (
            partial(unfiltered, known),
            "log also what the champion turns down, and label a random share of it: a verdict is about the rest alone",
        ),
    }
    for what, (look, remedy) in looks.items():
        yield Probe(what, look, remedy, ("newest requests",))


def _suites(context: DeploymentContext) -> str:
    steps.check_suites(context.deployment)
    declared = context.deployment.expectations
    return f"inputs {declared.inputs or 'by default'}, predictions {declared.predictions or 'by default'}"


def _metrics(context: DeploymentContext) -> str:
    check_custom_metrics(context)
    return f"functions of {', '.join(context.deployment.custom_metrics)} take what they are given"


def _store(context: DeploymentContext) -> str:
    """Write a small file beside the snapshots and read it again."""
    name = f"{context.deployment.name}/{_PROBE}"
    content = json.dumps({"written_at": dt.datetime.now(dt.UTC).isoformat()}).encode()
    with context.store.writing(name) as file:
        file.write(content)
    if context.store.path(name).read_bytes() != content:
        raise SnapshotError(f"{context.store}/{name} holds something else than was written a moment ago")
    return f"{context.store} is written and read"


def _evidence(context: DeploymentContext, day: dt.date) -> str:
    """Verify the newest day and an older one, by chance another one each day."""
    with context.ledger() as session:
        days = [snapshot.day for snapshot in snapshots.snapshots(session, context.deployment, None, None)]
    if not days:
        return "there is no day yet"
    older = random.Random(day.toordinal()).choice(days)  # noqa: S311 (which one is no secret)
    verification = verify(context, sorted({older, days[-1]}), seconds=_VERIFY_SECONDS)
    if verification.difference is not None:
        raise LedgerError(verification.difference)
    if not verification.is_complete:
        raise SkippedError(f"more than {_VERIFY_SECONDS} s: {verification} so far; run shadow verify")
    return f"as it was written: {verification}"


def _served(context: DeploymentContext) -> str:
    """Compare what production logs with what the newest promotion says."""
    with context.ledger() as session:
        served = served_day(session, context.deployment)
    if served is None:
        return "nothing was promoted, or no day has been sampled that began after it"
    if served.others:
        raise RegistryError(f"{served.champion.name} {served.champion.version} was {served}")
    return f"production serves {served.champion.version}: {served.requests} of {served.requests} on {served.day}"


def _documents(context: DeploymentContext) -> Iterator[Probe]:
    deployment = context.deployment
    named = {
        "promotion.manifest": (deployment.promotion.manifest, deployment.promotion.conn_id),
        "status.file": (deployment.status.file, deployment.status.conn_id) if deployment.status else (None, None),
    }
    for key, (uri, conn_id) in named.items():
        if uri is not None:
            yield Probe(
                key,
                partial(_document, context, uri, conn_id),
                f"let {key} be a file or an object that may be read and written",
            )


def _document(context: DeploymentContext, uri: str, conn_id: str | None) -> str:
    content, _ = context.cloud.document(uri, conn_id).read()
    return f"{uri} {'is not there yet' if content is None else f'has {len(content)} bytes'}"


def _answers(dependency: Dependency) -> str:
    """Ask for an address, whatever it answers: only a server that fails, or none, is a problem."""
    import httpx

    try:
        answer = httpx.get(dependency.url, timeout=_SECONDS, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TransientError(f"{dependency.url} does not answer: {type(error).__name__}") from error
    if answer.status_code >= 500:
        raise TransientError(f"{dependency.url} answers {answer.status_code} {answer.reason_phrase}")
    return f"{dependency.url} answers {answer.status_code}"
