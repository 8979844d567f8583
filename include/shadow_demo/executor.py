"""Which executor the scheduler of docker-compose.yaml runs: CeleryExecutor where the project's Redis is, else Local.

Redis runs in profile celery only, and answers to the project's password only. So whether it answers says whether there
are workers, and needs no second switch that could say otherwise.

- `choose` is asked when the scheduler starts. Where it last was CeleryExecutor it waits for Redis, which a restart of
  the machine may start later, and takes LocalExecutor only when Redis stays away: the profile is gone.
- `check` is the scheduler's health check. Where Redis has come since, it ends the scheduler, which docker starts again:
  `choose` then says CeleryExecutor. A scheduler whose Redis has gone is unhealthy.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

LOCAL, CELERY = "LocalExecutor", "CeleryExecutor"
CHOSEN = Path("/tmp/executor")  # noqa: S108 (of a container, and gone with it)
SCHEDULER = 1  # the first process of the container
SECONDS, PATIENCE = 3, 60  # for one answer, and for a Redis that was there


def answers(address: str) -> bool:
    """Whether the Redis at this address is there and takes its password. Neither is ever an error."""
    from redis import Redis, RedisError
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    once = Retry(NoBackoff(), 0)
    client = Redis.from_url(address, socket_timeout=SECONDS, socket_connect_timeout=SECONDS, retry=once)
    try:
        return bool(client.ping())
    except RedisError:
        return False
    finally:
        client.close()


def choose(address: str, chosen: Path = CHOSEN, patience: float = PATIENCE) -> str:
    """Return the executor to start with; the file `chosen` is there while it is CeleryExecutor."""
    end = time.monotonic() + (patience if chosen.exists() else 0)
    while not answers(address):
        if time.monotonic() >= end:
            chosen.unlink(missing_ok=True)
            return LOCAL
        time.sleep(0.5)
    chosen.touch()
    return CELERY


def check(address: str, chosen: Path = CHOSEN, end: Callable[[int, int], None] = os.kill) -> str | None:
    """Return what is wrong with the executor that runs, or None; end a LocalExecutor to which Redis has come."""
    there = answers(address)
    if chosen.exists():
        return None if there else f"{CELERY}, and Redis does not answer"
    if not there:
        return None
    end(SCHEDULER, signal.SIGTERM)
    return f"{LOCAL}, and Redis is there: starting again with {CELERY}"


def main() -> None:
    """`python -m shadow_demo.executor choose | check`, for the Redis of AIRFLOW__CELERY__BROKER_URL."""
    address = os.environ["AIRFLOW__CELERY__BROKER_URL"]
    match sys.argv[1:]:
        case ["choose"]:
            print(choose(address))
        case ["check"]:
            sys.exit(check(address))
        case _:
            sys.exit("python -m shadow_demo.executor choose | check")


if __name__ == "__main__":
    main()
