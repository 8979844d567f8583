"""Where relative paths of deployment files start, and where this package lies."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

SOURCE_ROOT = Path(__file__).resolve().parents[2]


def _project() -> Path:
    """Return SHADOW_PROJECT, else the checkout this package lies in, else the current folder."""
    if named := os.environ.get("SHADOW_PROJECT"):
        return Path(named).resolve()
    return SOURCE_ROOT.parent if SOURCE_ROOT.name == "include" else Path.cwd()


PROJECT = _project()


_BUCKET = re.compile(r"[A-Za-z0-9.:_-]+")


def is_supported_address(uri: str) -> bool:
    """Whether an address is written as this package reads it: a path, file:///AN/ABSOLUTE/PATH or s3://BUCKET/KEY.

    A path that begins with ~ is none: nobody would put a home's folder in its place.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3":
        return uri.startswith("s3://") and _BUCKET.fullmatch(parts.netloc) is not None
    if parts.scheme == "file":
        return uri.startswith("file:///") and "\0" not in unquote(uri)
    return not parts.scheme and not parts.netloc and not uri.startswith("~")
