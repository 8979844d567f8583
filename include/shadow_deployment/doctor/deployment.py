"""What one deployment needs beside its databases: suites, models, the snapshots' store, and what it depends on."""

import datetime as dt
import json
from collections.abc import Iterator
from functools import partial

from shadow_deployment.config.deployment import Challenger, Dependency
from shadow_deployment.config.window import window_of
from shadow_deployment.context import Shadow
from shadow_deployment.doctor.checks import Probe
from shadow_deployment.doctor.databases import ledger_probes, production_probes
from shadow_deployment.errors import SnapshotError, TransientError
from shadow_deployment.models.loading import load, model_digest
from shadow_deployment.pipeline import steps

_SECONDS = 10
_PROBE = "doctor.json"


def probes(shadow: Shadow, day: dt.date) -> Iterator[Probe]:
    """Yield what to look at for a deployment that runs on a day."""
    deployment = shadow.deployment
    yield from ledger_probes(shadow)
    yield from production_probes(shadow)
    yield Probe("suites", partial(_suites, shadow), "correct expectations.inputs or expectations.predictions")
    models = [*([deployment.champion.as_challenger] if deployment.champion else []), *deployment.challengers]
    for model in models:
        yield Probe(
            f"model {model.name}",
            partial(_model, shadow, model, day),
            "put the model where the deployment's file says, with the features it declares, or correct the file",
            ("production",) if model.kind == "logged" else (),
        )
    yield Probe(
        "snapshots",
        partial(_store, shadow),
        "let store.snapshots be a place that every worker reads and writes, with the credentials of snapshots_conn_id",
    )
    yield from _documents(shadow)
    for dependency in deployment.dependencies:
        yield Probe(
            f"dependency {dependency.name}",
            partial(_answers, dependency),
            f"start {dependency.name}, or correct its url in dependencies",
        )


def _suites(shadow: Shadow) -> str:
    steps.check_suites(shadow.deployment)
    declared = shadow.deployment.expectations
    return f"inputs {declared.inputs or 'by default'}, predictions {declared.predictions or 'by default'}"


def _model(shadow: Shadow, model: Challenger, day: dt.date) -> str:
    digest = model_digest(model)
    load(shadow, model, window_of(shadow.deployment, day))
    return f"{model.model}, {digest[:12]}, takes the deployment's features"


def _store(shadow: Shadow) -> str:
    """Write a small file beside the snapshots and read it again."""
    name = f"{shadow.deployment.name}/{_PROBE}"
    content = json.dumps({"written_at": dt.datetime.now(dt.UTC).isoformat()}).encode()
    with shadow.store.writing(name) as file:
        file.write(content)
    if shadow.store.path(name).read_bytes() != content:
        raise SnapshotError(f"{shadow.store}/{name} holds something else than was written a moment ago")
    return f"{shadow.store} is written and read"


def _documents(shadow: Shadow) -> Iterator[Probe]:
    deployment = shadow.deployment
    named = {
        "promotion.manifest": (deployment.promotion.manifest, deployment.promotion.conn_id),
        "status.file": (deployment.status.file, deployment.status.conn_id) if deployment.status else (None, None),
    }
    for key, (uri, conn_id) in named.items():
        if uri is not None:
            yield Probe(
                key,
                partial(_document, shadow, uri, conn_id),
                f"let {key} be a file or an object that may be read and written",
            )


def _document(shadow: Shadow, uri: str, conn_id: str | None) -> str:
    content, _ = shadow.outside.document(uri, conn_id).read()
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
