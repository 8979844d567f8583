"""Good deployments with one or two places spoilt: each is a deployment still, or a message that says which place."""

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_deployment.config.deployment import parse_deployment
from shadow_deployment.config.yaml_source import YamlSource
from shadow_deployment.errors import DeploymentError
from tests.integration.corpus.cases import Steps, good

FILE = "include/deployments/late.yaml"
LONGEST = 4_096  # characters of a message
NAMES = ("binary", "regression", "multiclass", "parquet")
NASTY: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, 2**63 - 1, -(2**63), 0.5, 1.0, -0.0, 1e308, 5e-324, float("nan"), float("inf"),
    "", " ", "null", "NaN", "1e9", "2024-02-30", "x" * 5000, "'; DROP TABLE a; --", "{{ macros }}", "%s %(a)s {a}",
    "../../etc/passwd", "~", "file:///", "s3://", "s3://[", "http://[::1", "parquet:{", "[bold]red[/]", "ﬁl\u0301",
    "日本語", b"bytes", [], [[]], [None], ["x", "x"], {},
    {"": ""}, {"a": {}},
]  # fmt: skip


def places(content: Any, at: tuple[str | int, ...] = ()) -> Iterator[Steps]:
    """Yield where every value of a document stands."""
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for step, value in entries:
        yield [*at, step]
        yield from places(value, (*at, step))


def spoilt(content: Any, place: Steps, how: Any) -> Any:
    """Return a document with one place spoilt; `how` is a function of its parent and key, or what it is replaced by."""
    changed = copy.deepcopy(content)
    parent = changed
    for step in place[:-1]:
        parent = parent[step]
    if callable(how):
        how(parent, place[-1])
    else:
        parent[place[-1]] = how
    return changed


def drop(parent: Any, key: Any) -> None:
    del parent[key]


def nest(parent: Any, key: Any) -> None:
    parent[key] = {key if isinstance(key, str) else "value": parent[key]}


def wrap(parent: Any, key: Any) -> None:
    parent[key] = [parent[key]]


def rename(parent: Any, key: Any) -> None:
    if isinstance(parent, dict):
        parent[f"{key}s"] = parent.pop(key)


def double(parent: Any, key: Any) -> None:
    if isinstance(parent, list):
        parent.append(copy.deepcopy(parent[key]))


def say(parent: Any, key: Any) -> None:
    parent[key] = str(parent[key])


SPOILERS = (drop, nest, wrap, rename, double, say)


def refusal(content: Any, *, text: str | None = None) -> str | None:
    """Return what is said of a document, None where it is a deployment; anything but a DeploymentError is raised."""
    try:
        parse_deployment(YamlSource(FILE, content) if text is None else YamlSource.from_text(text, FILE))
    except DeploymentError as error:
        message = str(error)
    else:
        return None
    assert len(message) < LONGEST
    for line in message.splitlines():
        assert line.isprintable()
        assert re.search(rf"{FILE}(:\d+)?\b|and \d+ more problems", line), line
    return message


@pytest.mark.parametrize("name", NAMES)
def test_any_one_place_that_is_spoilt_is_named(name: str) -> None:
    content = good(name)
    refused = 0
    for place in places(content):
        words = [str(step) for step in place if isinstance(step, str)]
        for how in (*SPOILERS, *NASTY):
            message = refusal(spoilt(content, place, how))
            refused += message is not None
            assert message is None or any(word in message for word in words), (place, how, message)
    assert refused > 30 * len(words)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Return a good deployment with up to four places spoilt, as YAML."""
    content = good(draw(st.sampled_from(NAMES)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.sampled_from(list(places(content)) or [["name"]]))
        content = spoilt(content, place, draw(st.sampled_from((*SPOILERS, *NASTY))))
    return yaml.dump(
        content, sort_keys=False, allow_unicode=draw(st.booleans()), width=draw(st.sampled_from((30, 999)))
    )


@given(text=documents())
@settings(deadline=20_000, max_examples=120, derandomize=True)
def test_several_places_that_are_spoilt_are_a_message_about_the_file(text: str) -> None:
    refusal(None, text=text)


@given(text=documents(), cut=st.floats(0, 1), noise=st.text(max_size=8), at=st.floats(0, 1))
@settings(deadline=20_000, max_examples=120, derandomize=True)
def test_a_file_that_is_cut_off_or_has_noise_in_it_is_a_message_about_the_file(
    text: str, cut: float, noise: str, at: float
) -> None:
    text = text[: int(len(text) * cut)]
    place = int(len(text) * at)
    refusal(None, text=text[:place] + noise + text[place:])
