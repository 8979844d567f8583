"""A YAML document's nodes, with libyaml's scanner where PyYAML has it: ten times as fast as its own.

Nodes are put together by PyYAML's Python code all the same: libyaml's overflows the stack, and ends the process, on a
document that is nested deeply enough.
"""

from functools import cache
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

Loader = SafeConstructor


def compose(text: str) -> tuple[Loader, yaml.Node | None]:
    """Return what makes values of nodes, and the node of the one document in the text; None where it is empty.

    Raises yaml.YAMLError in the words of PyYAML's own scanner, and RecursionError for a document nested without end.
    """
    if yaml.__with_libyaml__:
        try:
            return _composed(_fast_loader()(text))
        except yaml.YAMLError:
            pass
    return _composed(yaml.SafeLoader(text))


def _composed(loader: Any) -> tuple[Loader, yaml.Node | None]:
    try:
        return loader, loader.get_single_node()
    finally:
        loader.dispose()


@cache
def _fast_loader() -> Any:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    class FastLoader(Composer, CParser, SafeConstructor, Resolver):  # both compose: the first does
        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            Composer.__init__(self)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

    return FastLoader
