"""The template as data: its parameters, and what becomes of its resources when the stack goes."""

from pathlib import Path
from typing import Any

import yaml

from include.infrastructure.aws_command import StackError

PATH = Path(__file__).with_name("shadow.yaml")


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, `!Ref X` read as {"Ref": "X"}."""


def _short_form(loader: _Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    key = name if name in ("Ref", "Condition") else f"Fn::{name}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        return {key: value.split(".", 1) if name == "GetAtt" else value}
    if isinstance(node, yaml.MappingNode):
        return {key: loader.construct_mapping(node, deep=True)}
    return {key: [loader.construct_object(one, deep=True) for one in node.value]}


_Loader.add_multi_constructor("!", _short_form)


def parse(text: str) -> dict[str, Any]:
    """Return a template with its short forms written out; raise StackError where it is no template."""
    try:
        parsed = yaml.load(text, Loader=_Loader)  # noqa: S506 (a safe loader, and dictionaries for the short forms)
    except yaml.YAMLError as error:
        raise StackError(f"the template cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(parsed, dict) or "Resources" not in parsed:
        raise StackError("the template has no Resources: is it CloudFormation's?")
    return parsed


def policies(template: dict[str, Any]) -> dict[str, str]:
    """Return of each resource, by logical id, what becomes of it with the stack: Retain, Snapshot or Delete."""
    return {name: one.get("DeletionPolicy", "Delete") for name, one in template["Resources"].items()}
