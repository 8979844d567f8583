"""What a web server needs beside the pages: addresses, files, the policy browsers keep, and a memory of pages."""

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Final, Generic, TypeVar
from urllib.parse import quote, urlencode

from shadow_deployment.report.charts.theme import declarations, on_paper

_FOLDER: Final = Path(__file__).parent / "static"
_CSS, _JS = "text/css; charset=utf-8", "text/javascript; charset=utf-8"
ASSETS: Final = {"page.css": _CSS, "page.js": _JS, "list.css": _CSS, "list.js": _JS}
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'self'"
)


Kept = TypeVar("Kept")


@cache
def asset(name: str) -> bytes:
    """Return a file of `ASSETS`; KeyError for any other name."""
    if name not in ASSETS:
        raise KeyError(name)
    content = (_FOLDER / name).read_text(encoding="utf-8")
    return (f"{declarations(':root')}\n{content}{on_paper()}" if name == "page.css" else content).encode()


def policy_of_file() -> str:
    """Return the policy by which a browser runs a file's own style and script, and loads nothing at all."""
    digests = {name: f"'sha256-{base64.b64encode(hashlib.sha256(asset(name)).digest()).decode()}'" for name in ASSETS}
    styles, scripts = (
        " ".join(digests[name] for name, kind in ASSETS.items() if kind == wanted) for wanted in (_CSS, _JS)
    )
    return (
        f"default-src 'none'; style-src {styles}; script-src {scripts}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


@dataclass(frozen=True)
class Links:
    """Where pages lie below `base`, and Airflow's own below `airflow`: paths without a slash at their end.

    Both are None in a file, which links nowhere.
    """

    base: str | None = None
    airflow: str | None = None

    def overview(self) -> str | None:
        """Return the address of the list of all deployments."""
        return self._at("/")

    def deployment(self, name: str, challenger: str | None = None, day: object = None) -> str | None:
        """Return the address of a deployment's page: of one challenger and one day, where they are given."""
        asked = {key: str(value) for key, value in (("challenger", challenger), ("day", day)) if value is not None}
        return self._at(f"/deployments/{quote(name, safe='')}{f'?{urlencode(asked)}' if asked else ''}")

    def dag(self, name: str, part: str = "") -> str | None:
        """Return the address of a deployment's DAG in Airflow: the daily one, or its `promotion` or `rollback`."""
        dag_id = f"shadow_{name}_{part}" if part else f"shadow_{name}"
        return None if self.airflow is None else f"{self.airflow}/dags/{quote(dag_id, safe='')}"

    def approval(self, name: str, run_id: str) -> str | None:
        """Return the address of Airflow's form that waits for an answer to a run of the promotion DAG."""
        dag = self.dag(name, "promotion")
        return dag and f"{dag}/runs/{quote(run_id, safe='')}/tasks/approve/required_actions"

    def asset(self, name: str) -> str | None:
        """Return the address of a file of `ASSETS`, another one whenever its content changes."""
        return self._at(f"/static/{name}?v={hashlib.sha256(asset(name)).hexdigest()[:12]}")

    def _at(self, path: str) -> str | None:
        return None if self.base is None else f"{self.base}{path}"


class Cache(Generic[Kept]):
    """What was asked for last, at most `most` of them, shared by the threads of a process."""

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """Return what is kept under a key; where it is not there, make it, outside the lock."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._kept[key] = made
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return made

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)
