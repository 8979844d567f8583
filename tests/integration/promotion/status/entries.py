"""A deployment with a status file, where the file is, and what it says of a challenger."""

from pathlib import Path
from typing import Any

from shadow_deployment.context import DeploymentContext
from shadow_deployment.promotion import status
from tests.integration.promotion.promoting import ALWAYS, settings
from tests.production import World


def deployed(world: World, **changes: Any) -> DeploymentContext:
    told = {"file": str(world.folder / "shared" / "master.json"), **changes.pop("status", {})}
    return world.shadow(**settings(world, status=told, promotion=ALWAYS, **changes))


def file_of(shadow: DeploymentContext) -> Path:
    assert shadow.deployment.status
    return Path(shadow.deployment.status.file)


def standing(shadow: DeploymentContext, name: str = "other") -> status.RecordedStatus:
    return next(one for one in status.statuses(shadow) if one.challenger == name)
