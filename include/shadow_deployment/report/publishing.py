"""The page as files beside the snapshots: what was known of each challenger on a day, to keep and to hand on."""

import datetime as dt
from collections.abc import Iterable

from shadow_deployment.context import DeploymentContext
from shadow_deployment.report.html import rendering
from shadow_deployment.report.queries import pages


def publish(context: DeploymentContext, day: dt.date, challengers: Iterable[str]) -> list[str]:
    """Write a day's report of each challenger into the snapshot store; return the files' names below it.

    Written again it is replaced, whole or not at all. Raises SnapshotError where the store cannot be written.
    """
    names: list[str] = []
    context.store.sweep(f"{context.deployment.name}/reports/{day}")
    for challenger in challengers:
        page = rendering.report(pages.deployment_page(context, challenger, day))
        name = f"{context.deployment.name}/reports/{day}/{challenger}.html"
        with context.store.writing(name) as file:
            file.write(page.encode())
        names.append(name)
    return names
