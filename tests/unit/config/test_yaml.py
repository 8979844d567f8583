"""What is no YAML of keys and values is refused with its line, and ends no process."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_deployment.config.deployment import load_deployment, parse_deployment
from shadow_deployment.config.yaml_source import YamlSource
from shadow_deployment.errors import DeploymentError
from tests.builders import EXAMPLE, FILE
from tests.unit.config.mistakes import problems_of


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (EXAMPLE + "timezone: UTC\n", f"{EXAMPLE.count(chr(10)) + 1} key 'timezone'"),
        ("name: a\nsample:\n  rate: 1\n  rate: 0.5\n", "4 key 'rate'"),
        ("name: a\nrules:\n  - {is: x, is: y}\n", "3 key 'is'"),
    ],
)
def test_a_duplicate_key_is_refused(text: str, problem: str) -> None:
    assert problems_of(text) == [f"{FILE}:{problem} appears twice; keep one of them"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "hello\n", "null\n"])
def test_a_file_without_keys_is_refused(text: str) -> None:
    assert problems_of(text) == [f"{FILE} must contain keys and values, starting with name: ..."]


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: [b\n", 2), ("a: b\n\tc: d\n", 2), ("a: b\n---\nc: d\n", 2), ("a: 1\nb: *x\n", 2), ("a: !what 1\n", 1)],
)
def test_what_is_no_yaml_is_refused_with_its_line(text: str, line: int) -> None:
    (problem,) = problems_of(text)
    assert problem.startswith(f"{FILE}:{line} is not valid YAML: ")


@pytest.mark.parametrize("text", ["? [a]\n: 2\n", "? {a: 1}\n: 2\n", "name: {{ x }}\n"])
def test_a_key_with_brackets_is_refused_with_its_line(text: str) -> None:
    assert problems_of(text) == [f"{FILE}:1 a key must be text: quote values that start with {{ or ["]


@given(text=st.text("ab1:-?,.&*!|>'\"%@`#~ \n\t[]{}\x00\x85\ufeff", max_size=40))
@settings(max_examples=300)
def test_any_text_is_answered_with_a_deployment_error(text: str) -> None:
    with pytest.raises(DeploymentError):
        parse_deployment(YamlSource.from_text(text, FILE))


@pytest.mark.parametrize("content", [None, b"name: \xff\xfe\n"])
def test_a_file_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DeploymentError, match=r"broken\.yaml cannot be read: "):
        load_deployment(path)


@pytest.mark.parametrize(
    "deep", ["[" * 100_000, "[{x: " * 100_000, "\n- " + "- " * 100_000, "[" * 100_000 + "]" * 100_000]
)
def test_a_file_that_nests_deep_is_an_error_and_ends_no_process(deep: str) -> None:
    with pytest.raises(DeploymentError, match=r"deep.yaml:\d+ nests more than 50 levels deep; close brackets"):
        YamlSource.from_text(f"name: deep\nslices: {deep}", "deep.yaml")
    nested = "[" * 49 + "]" * 49
    assert str(YamlSource.from_text(f"slices: {nested}", "deep.yaml").content["slices"]) == nested
