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


def beside(path: str, folder: Path) -> str:
    """Return a relative path that leads to something in `folder` as one that starts in PROJECT, or an absolute one.

    Any other path or address stays as it is.
    """
    place = folder.absolute() / path
    try:
        is_there = bool(path) and not Path(path).is_absolute() and ":" not in path and place.exists()
    except (OSError, ValueError):  # a name that is too long, or has a NUL in it
        is_there = False
    if not is_there:
        return path
    return str(place.relative_to(PROJECT) if place.is_relative_to(PROJECT) else place)


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
