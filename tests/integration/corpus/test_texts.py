"""Files that are not deployments as text: other encodings, broken YAML, many mistakes; each is one short message."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.corpus.cases import HERE
from tests.integration.corpus.test_deployments import Refused, file, refused  # noqa: F401 (fixtures)

GOOD = (HERE / "good" / "regression.yaml").read_text()
CASES: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "texts.yaml").read_text(encoding="utf-8"))
RULE = "{metric: bias, is: at_most, value: %d}"
LARGE: dict[str, tuple[Callable[[], str], str]] = {
    "a number of six thousand digits": (
        lambda: GOOD.replace("rate: 1", f"rate: {'9' * 6000}"),
        "sample.rate == '99999",
    ),
    "a name of a hundred thousand letters": (
        lambda: GOOD.replace("name: delay", f"name: {'a' * 100_000}"),
        "name == 'aaaaa",
    ),
    "a key of ten thousand letters": (lambda: f"{GOOD}? {'k' * 10_000}\n: 1\n", "kkk... is unknown"),
    "a key of ten thousand letters that is there twice": (
        lambda: GOOD + f"? {'k' * 10_000}\n: 1\n" * 2,
        "... appears twice; keep one of them",
    ),
    "three thousand features of another type": (
        lambda: GOOD.replace("[x]", f"[{', '.join(['1'] * 3000)}]"),
        "and 2980 more problems",
    ),
    "three thousand features of one name": (
        lambda: GOOD.replace("[x]", f"[{', '.join(['x'] * 3000)}]"),
        "and 2979 more problems",
    ),
    "two thousand rules of which one is there twice": (
        lambda: GOOD.replace("rules: [", f"rules: [{', '.join(RULE % n for n in [*range(1, 2000), 7])}, "),
        "policy.rules[1999] duplicates policy.rules[6]; remove one of them",
    ),
    "a thousand keys that nobody knows": (
        lambda: GOOD + "".join(f"key{n}: {n}\n" for n in range(1000)),
        "and 980 more problems",
    ),
}


def written(case: dict[str, Any]) -> bytes:
    text = case.get("whole", GOOD)
    if "replace" in case:
        assert text.count(case["replace"]) == 1, case["replace"]
        text = text.replace(case["replace"], case["by"])
    return (text + case.get("append", "")).encode(case.get("encoding", "utf-8"))


@pytest.mark.parametrize("title", CASES)
def test_a_text_that_is_no_deployment_is_named_with_its_line(title: str, refused: Refused) -> None:  # noqa: F811
    assert CASES[title]["says"] in refused(written(CASES[title]))


@pytest.mark.parametrize("title", LARGE)
def test_many_or_long_mistakes_are_reported_in_few_words(title: str, refused: Refused) -> None:  # noqa: F811
    content, says = LARGE[title]
    assert says in refused(content().encode())


def test_a_mark_of_utf8_and_windows_ends_of_lines_are_read(tmp_path: Path, invoke: Any) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(("\ufeff" + GOOD).replace("\n", "\r\n").encode())
    assert invoke("validate", path)[0] == 0


def test_a_folder_and_a_file_that_is_not_there_are_named(tmp_path: Path, invoke: Any) -> None:
    (tmp_path / "folder.yaml").mkdir()
    for name in ("folder.yaml", "nowhere.yaml"):
        code, out, err = invoke("validate", tmp_path / name)
        assert (code, out) == (1, "")
        assert f"{tmp_path / name} cannot be read: " in err
