"""How many requests of each stratum are drawn, and with which probability.

Within a stratum the requests with the smallest keyed hash are drawn, a fixed number of them: simple random sampling
without replacement as far as the hash is random, so each has the inclusion probability size / population exactly
(Horvitz and Thompson 1952). The same requests are drawn on every retry and every machine, and a smaller rate draws a
part of what a larger one draws.
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
    """What is drawn from one stratum: `size` of `population` requests."""

    stratum: str
    population: int
    size: int

    @property
    def probability(self) -> float:
        """The inclusion probability of each request in the stratum."""
        return self.size / self.population

    @property
    def candidates(self) -> int:
        """A hash below which the draw lies but for one time in a billion, so that only those need sorting."""
        share = self.probability
        spread = 6 * math.sqrt(share * (1 - share) / self.population) + 20 / self.population
        return math.ceil(min(1.0, share + spread) * HASHES)


def allocate(sample: Sample, population: Mapping[str, int]) -> list[Draw]:
    """Return the draw of each stratum, in order of their names.

    `rate` of its requests, or its own rate, at least the minimum, and in all no more than `max_rows`, which the strata
    share in proportion. Raises SourceError where there are more strata than `max_rows`.
    """
    wanted = {
        name: min(count, max(_share(sample.rates.get(name, sample.rate), count), sample.minimum_per_stratum))
        for name, count in sorted(population.items())
        if count
    }
    total = sum(wanted.values())
    if len(wanted) > sample.max_rows:
        raise SourceError(
            f"sample.max_rows == {sample.max_rows}, must be at least {len(wanted)}, the number of strata that "
            f"{' and '.join(sample.strata)} make in this window"
        )
    if total > sample.max_rows:
        wanted = _capped(wanted, sample.max_rows)
    return [Draw(name, population[name], size) for name, size in wanted.items()]


def _share(rate: float, count: int) -> int:
    return math.ceil(round(rate * count, 9))  # 0.07 * 100 is a little more than 7


def _capped(wanted: Mapping[str, int], most: int) -> dict[str, int]:
    spare = most - len(wanted)
    total = sum(wanted.values()) - len(wanted)
    exact = {name: (size - 1) * spare / total for name, size in wanted.items()}
    sizes = {name: 1 + math.floor(share) for name, share in exact.items()}
    by_remainder = sorted(wanted, key=lambda name: (math.floor(exact[name]) - exact[name], name))
    for name in by_remainder[: most - sum(sizes.values())]:
        sizes[name] += 1
    return sizes


def design(deployment: Deployment) -> dict[str, Any]:
    """Return what decides which requests are drawn: evidence belongs to one such design."""
    requests, sample = deployment.requests, deployment.sample
    return {
        "requests": {key: getattr(requests, key) for key in ("conn_id", "table", "id", "time", "prediction")},
        "schedule": deployment.schedule,
        "timezone": deployment.timezone,
        "salt": deployment.salt,
        **sample.model_dump(include={"rate", "rates", "strata", "minimum_per_stratum", "max_rows"}),
    }


def digest(content: object) -> str:
    """Return the SHA-256 of content as canonical JSON, in hexadecimal."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
