"""Of the JSON of a status file only our key changes: layout, numbers and text stay as they are."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_deployment.promotion.json_entries import UnknownEntryError, new, set_keys

OURS = {"status": "passed", "reason": 'wörd "x"\n', "n": None}
IN_LINES = '{{\n{0}{0}{0}"status": "passed",\n{0}{0}{0}"reason": "wörd \\"x\\"\\n",\n{0}{0}{0}"n": null\n{0}{0}}}'
IN_ONE = '{"status": "passed", "reason": "wörd \\"x\\"\\n", "n": null}'
LAYOUTS: list[tuple[str, str, str]] = [
    ("one line", '{"list": []}', '{"list": [{"id": "a", "shadow": ' + IN_ONE + "}]}"),
    (
        "tight",
        '{"list":[{"id":"a"}]}',
        '{"list":[{"id":"a","shadow":' + IN_ONE.replace(", ", ",").replace(": ", ":") + "}]}",
    ),
    (
        "tabs, and lines laid out by hand, which become lines of their own",
        '{\n\t"list": [\n\t\t{"id": "a", "x": 1}\n\t]\n}\n',
        (
            '{\n\t"list": [\n\t\t{\n\t\t\t"id": "a",\n\t\t\t"x": 1,\n\t\t\t"shadow": '
            '{\n\t\t\t\t"status": "passed",\n\t\t\t\t"reason": "wörd \\"x\\"\\n",\n\t\t\t\t"n": null\n\t\t\t}'
            "\n\t\t}\n\t]\n}\n"
        ),
    ),
    (
        "a list of lines",
        '[\n {\n  "id": "a",\n  "x": []\n }\n]',
        '[\n {\n  "id": "a",\n  "x": [],\n  "shadow": ' + IN_LINES.format(" ") + "\n }\n]",
    ),
    (
        "replaced in its place",
        '[\n {\n  "shadow": {"a": 1},\n  "id": "a"\n }\n]',
        '[\n {\n  "shadow": ' + IN_LINES.format(" ") + ',\n  "id": "a"\n }\n]',
    ),
    (
        "windows",
        '[\r\n {\r\n  "id": "a"\r\n }\r\n]\r\n',
        '[\r\n {\r\n  "id": "a",\r\n  "shadow": ' + IN_LINES.format(" ").replace("\n", "\r\n") + "\r\n }\r\n]\r\n",
    ),
    (
        "ascii",
        '[{"id": "a", "u": "\\u00e9"}]',
        '[{"id": "a", "u": "\\u00e9", "shadow": ' + IN_ONE.replace("ö", "\\u00f6") + "}]",
    ),
]


@pytest.mark.parametrize(("before", "after"), [one[1:] for one in LAYOUTS], ids=[one[0] for one in LAYOUTS])
def test_an_entry_is_written_as_the_file_is_laid_out(before: str, after: str) -> None:
    assert set_keys(before, "list", "a", {"shadow": OURS}) == after
    assert set_keys(after, "list", "a", {"shadow": OURS}) == after


def test_what_says_the_same_in_another_layout_stays_in_it() -> None:
    text = '[{"id": "a", "shadow":{"n":null,  "status" : "passed", "reason": "w\\u00f6rd \\"x\\"\\n"}}]'
    assert json.loads(text)[0]["shadow"] == OURS
    assert set_keys(text, "list", "a", {"shadow": OURS}) == text


def test_an_empty_list_in_lines_gets_its_entry_in_lines() -> None:
    written = set_keys(new("list"), "list", "a", {"shadow": OURS})
    assert written == json.dumps({"list": [{"id": "a", "shadow": OURS}]}, indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("text", ['[{"id": "b", "e": "é\\u00e9\\/\\ud800"}]', '[{"id": "b", "e": "\\ud800"}]'])
def test_text_that_is_escaped_keeps_its_meaning(text: str) -> None:
    written = set_keys(text, "list", "b", {"shadow": OURS})
    written.encode()
    assert json.loads(written)[0]["e"] == json.loads(text)[0]["e"]


texts = st.text(st.characters(codec="utf-8", exclude_characters='"'), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
entries = st.lists(
    st.tuples(st.sampled_from("abcdé"), st.dictionaries(texts, values, max_size=3), st.booleans()),
    max_size=4,
    unique_by=lambda one: one[0],
)
layouts = st.fixed_dictionaries(
    {
        "indent": st.sampled_from([None, 1, 2, 4, "\t"]),
        "ensure_ascii": st.booleans(),
        "separators": st.sampled_from([(",", ":"), (", ", ": ")]),
    }
)


@given(entries, st.dictionaries(texts, values, max_size=3), layouts, st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_whatever_is_in_the_file_only_our_key_changes(
    listed: list[Any], around: dict[str, Any], layout: dict[str, Any], is_list: bool, newline: str
) -> None:
    found = [{**one, "id": name, **({"shadow": {"old": name}} if ours else {})} for name, one, ours in listed]
    whole: Any = found if is_list else {**around, "list": found, "z": 1}
    text = json.dumps(whole, **layout).replace("\n", newline)
    if "a" not in {one["id"] for one in found} and any(set(one) - {"id", "shadow"} for one in found):
        with pytest.raises(UnknownEntryError, match="has no entry with the id 'a'"):
            set_keys(text, "list", "a", {"shadow": OURS})
        return
    written = set_keys(text, "list", "a", {"shadow": OURS})
    expected = json.loads(text)
    ours = expected if is_list else expected["list"]
    entry = next((one for one in ours if one["id"] == "a"), None)
    if entry is None:
        ours.append({"id": "a"})
    (entry or ours[-1])["shadow"] = OURS
    assert json.dumps(json.loads(written)) == json.dumps(expected)  # the order of keys too
    assert set_keys(written, "list", "a", {"shadow": OURS}) == written
