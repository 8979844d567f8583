"""How many requests of each stratum are drawn, and with which probability.

A fixed number of requests with the smallest keyed hashes is drawn from each stratum: simple random sampling without
replacement as far as the hash is random, so the inclusion probability is exactly size / population (Horvitz and
Thompson 1952). Every retry and every machine draws the same requests, and a smaller rate draws a subset of those of a
larger one.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shadow_deployment.config.deployment import Deployment, Sample
from shadow_deployment.errors import SourceError

HASHES = 1 << 52  # the hash is the first 52 bits of SHA-256 of "salt:id", exact in a double


@dataclass(frozen=True)
class Draw:
    """The draw from one stratum: `size` of `population` requests."""

    stratum: str
    population: int
    size: int

    @property
    def probability(self) -> float:
        """The inclusion probability of each request in the stratum."""
        return self.size / self.population

    @property
    def candidates(self) -> int:
        """A hash that the draw exceeds less than once in a billion times, so that only requests below it are sorted."""
        share = self.probability
        spread = 6 * math.sqrt(share * (1 - share) / self.population) + 20 / self.population
        return math.ceil(min(1.0, share + spread) * HASHES)


def allocate(sample: Sample, population: Mapping[str, int]) -> list[Draw]:
    """Return the draw of each stratum, in order of their names.

    A stratum gives `rate`, or its own rate, of its requests, and at least the minimum. Where that is more than
    `max_rows` in all, strata share `max_rows` in proportion.

    Args:
        sample: The sampling design.
        population: How many requests each stratum has.

    Raises:
        SourceError: There are more strata than `max_rows`.
    """
    sizes = {
        name: min(count, max(_share(sample.rates.get(name, sample.rate), count), sample.minimum_per_stratum))
        for name, count in sorted(population.items())
        if count
    }
    if len(sizes) > sample.max_rows:
        raise SourceError(
            f"sample.max_rows == {sample.max_rows}, must be at least {len(sizes)}, the number of strata that "
            f"{' and '.join(sample.strata)} make in this window"
        )
    if sum(sizes.values()) > sample.max_rows:
        sizes = _capped(sizes, sample.max_rows)
    return [Draw(name, population[name], size) for name, size in sizes.items()]


def _share(rate: float, count: int) -> int:
    return math.ceil(round(rate * count, 9))  # 0.07 * 100 is a little more than 7


def _capped(sizes: Mapping[str, int], max_rows: int) -> dict[str, int]:
    """Return one request for each stratum and a proportional share of the rest, by the largest remainders."""
    spare, total = max_rows - len(sizes), sum(sizes.values()) - len(sizes)
    exact = {name: (size - 1) * spare / total for name, size in sizes.items()}
    capped = {name: 1 + math.floor(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (math.floor(exact[name]) - exact[name], name))
    for name in by_remainder[: max_rows - sum(capped.values())]:
        capped[name] += 1
    return capped


def design(deployment: Deployment) -> dict[str, Any]:
    """Return the sampling design: all that decides which requests are drawn. Evidence belongs to one design."""
    requests, sample = deployment.requests, deployment.sample
    return {
        "requests": {key: getattr(requests, key) for key in ("conn_id", "table", "id", "time", "prediction")},
        "schedule": deployment.schedule,
        "timezone": deployment.timezone,
        "salt": deployment.salt,
        **({} if deployment.labels.key is None else {"label_key": deployment.labels.key}),
        **sample.model_dump(include={"rate", "rates", "strata", "minimum_per_stratum", "max_rows"}),
    }


def digest(content: object) -> str:
    """Return the SHA-256 of content as canonical JSON, in hexadecimal."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
