"""What a web server needs beside the pages: addresses, files, the policy browsers keep, and a memory of pages."""

import base64
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Final
from urllib.parse import quote, urlencode

from shadow_deployment.report.charts.theme import declarations, on_paper

_FOLDER: Final = Path(__file__).parent / "static"
ASSETS: Final = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'self'"
)


@cache
def asset(name: str) -> bytes:
    """Return a file of `ASSETS`; KeyError for any other name."""
    if name not in ASSETS:
        raise KeyError(name)
    content = (_FOLDER / name).read_text(encoding="utf-8")
    return (f"{declarations(':root')}\n{content}{on_paper()}" if name == "page.css" else content).encode()


def policy_of_file() -> str:
    """Return the policy by which a browser runs a file's own style and script, and loads nothing at all."""
    digests = {name: base64.b64encode(hashlib.sha256(asset(name)).digest()).decode() for name in ASSETS}
    return (
        f"default-src 'none'; style-src 'sha256-{digests['page.css']}'; script-src 'sha256-{digests['page.js']}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
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


class Cache:
    """The pages asked for last, at most `most` of them, shared by the threads of a process."""

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._pages: OrderedDict[Hashable, str] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], str]) -> str:
        """Return the page of a key; where it is not there, make it, outside the lock."""
        with self._lock:
            if key in self._pages:
                self._pages.move_to_end(key)
                return self._pages[key]
        page = make()
        with self._lock:
            self._pages[key] = page
            self._pages.move_to_end(key)
            while len(self._pages) > self._most:
                self._pages.popitem(last=False)
        return page

    def __len__(self) -> int:
        return len(self._pages)
