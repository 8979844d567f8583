"""What custom metrics are computed by, as far as numbers depend on it: the terms that evidence and trials rest on."""

import hashlib
import json
from collections.abc import Collection
from typing import Any

from shadow_deployment.base.modules import source_of
from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.policy import CustomMetric
from shadow_deployment.errors import MetricError


def custom_terms(deployment: Deployment, names: Collection[str]) -> dict[str, Any]:
    """Return, by name, the digest of the function and the declaration of those of these metrics that are custom.

    Raises MetricError where the module of one is missing.
    """
    declared = deployment.custom_metrics
    return {
        name: {"function": digest_of(deployment, declared[name])}
        | declared[name].model_dump(mode="json", include={"better", "bounds", "needs_label"})
        for name in sorted(declared.keys() & set(names))
    }


def digest_of(deployment: Deployment, metric: CustomMetric) -> str:
    """Return the SHA-256 of a metric's function: its name and its module's source. Raises MetricError."""
    parts = [metric.function.rpartition(":")[2], hashlib.sha256(source(deployment, metric)).hexdigest()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def source(deployment: Deployment, metric: CustomMetric) -> bytes:
    """Return the source of a metric's module, without running it; raise MetricError where it is missing."""
    module = metric.function.split(":")[1]
    content = source_of(module)
    if content is None:
        raise MetricError(
            f"deployment {deployment.name}: metric {metric.name}: function == {metric.function!r}, but there is no "
            f"module {module}: put it below {PROJECT} or on PYTHONPATH, or correct metrics[].function"
        )
    return content
