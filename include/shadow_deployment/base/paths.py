"""The folder in which relative paths of deployment files start, and the forms of addresses."""

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

SOURCE_ROOT = Path(__file__).resolve().parents[2]


def _project() -> Path:
    """Return SHADOW_PROJECT, or the checkout that contains this package, or the current folder."""
    if path := os.environ.get("SHADOW_PROJECT"):
        return Path(path).resolve()
    return SOURCE_ROOT.parent if SOURCE_ROOT.name == "include" else Path.cwd()


PROJECT = _project()
_BUCKET = re.compile(r"[A-Za-z0-9.:_-]+")


def is_supported_address(uri: str) -> bool:
    """Return whether an address is a path, file:///AN/ABSOLUTE/PATH or s3://BUCKET/KEY.

    A path that begins with ~ is not: nothing expands it.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3":
        return uri.startswith("s3://") and _BUCKET.fullmatch(parts.netloc) is not None
    if parts.scheme == "file":
        return uri.startswith("file:///") and "\0" not in unquote(uri)
    return not parts.scheme and not parts.netloc and not uri.startswith("~")
