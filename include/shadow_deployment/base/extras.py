"""Optional parts of the installation: pip installs them with `shadow-deployment[NAME]`."""

from collections.abc import Iterator
from contextlib import contextmanager

from shadow_deployment.errors import PermanentError


class MissingExtraError(PermanentError):
    """A package of an extra is needed here and not installed."""


def install_command(extra: str) -> str:
    """Return how to install an extra of this package, such as "onnx"."""
    return f'pip install "shadow-deployment[{extra}]"'


@contextmanager
def requires_extra(name: str, purpose: str) -> Iterator[None]:
    """Raise MissingExtraError where the block imports a package that is not installed.

    Args:
        name: The extra of this package that brings it, such as "onnx".
        purpose: What needs it, as the beginning of the message, such as "challenger trees".
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("shadow_deployment"):
            raise
        raise MissingExtraError(
            f"{purpose} needs the package {error.name}, which is not installed: {install_command(name)}"
        ) from error
