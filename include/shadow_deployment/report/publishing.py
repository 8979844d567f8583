"""The page as files beside the snapshots: what was known of each challenger on a day, to keep and to hand on."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import replace

from shadow_deployment.context import DeploymentContext
from shadow_deployment.report.html import rendering
from shadow_deployment.report.queries import pages
from shadow_deployment.report.views import DeploymentView


def publish(context: DeploymentContext, day: dt.date, challengers: Iterable[str]) -> list[str]:
    """Write a day's report of each challenger into the snapshot store; return the files' names below it.

    It names no request: they may be erased, and a file is kept. Written again it is replaced, whole or not at all.
    Raises SnapshotError where the store cannot be written.
    """
    names: list[str] = []
    context.store.sweep(f"{context.deployment.name}/reports/{day}")
    for challenger in challengers:
        page = rendering.report(_without_requests(pages.deployment_page(context, challenger, day)))
        name = f"{context.deployment.name}/reports/{day}/{challenger}.html"
        with context.store.writing(name) as file:
            file.write(page.encode())
        names.append(name)
    return names


def _without_requests(view: DeploymentView) -> DeploymentView:
    validations = tuple(
        replace(row, failures=[{**each, "requests": []} for each in row.failures or ()]) for row in view.validations
    )
    missing = {**view.missing, "disagreements": f"kept files name no request: shadow explain {view.name} lists them"}
    return replace(view, disagreements=(), validations=validations, missing=missing)
