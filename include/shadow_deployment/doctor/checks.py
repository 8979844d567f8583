"""The doctor: looks whether all is there that a deployment needs; no check keeps the next from looking."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from shadow_deployment.errors import ShadowError

logger = logging.getLogger(__name__)

State = Literal["ok", "warning", "failed", "skipped"]
INSTALLATION = "installation"  # what is no single deployment's
_LONGEST = 2000


class SkippedError(Exception):
    """A probe cannot tell from here; its text says why."""


class ConcernError(Exception):
    """It works, and could be safer; the text says what is not."""


@dataclass(frozen=True)
class Probe:
    """One thing to look at: `look` returns what was found, or raises what is wrong.

    `remedy` is what to do where it is wrong, or could be safer; `needs` names the probes without which there is nothing
    to look at.
    """

    what: str
    look: Callable[[], str]
    remedy: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """What a probe has found for a deployment, or for the installation; `remedy` is empty where it is ok or skipped."""

    about: str
    what: str
    state: State
    result: str
    remedy: str = ""

    def content(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


def examine(about: str, probes: Iterable[Probe]) -> list[Check]:
    """Look at everything, in order; whatever a probe raises is what it found."""
    checks: dict[str, Check] = {}
    for probe in probes:
        lacking = [name for name in probe.needs if name in checks and checks[name].state not in ("ok", "warning")]
        checks[probe.what] = (
            Check(about, probe.what, "skipped", f"needs {' and '.join(lacking)}") if lacking else _look(about, probe)
        )
    return list(checks.values())


def _look(about: str, probe: Probe) -> Check:
    try:
        return Check(about, probe.what, "ok", probe.look())
    except SkippedError as reason:
        return Check(about, probe.what, "skipped", str(reason))
    except ConcernError as concern:
        return Check(about, probe.what, "warning", str(concern), probe.remedy)
    except ShadowError as error:
        return Check(about, probe.what, "failed", str(error)[:_LONGEST], probe.remedy)
    except Exception as error:
        logger.debug("probe %s of %s", probe.what, about, exc_info=True)
        return Check(about, probe.what, "failed", f"{type(error).__name__}: {error}"[:_LONGEST], probe.remedy)
