"""Rows divided into parts: each is where its text belongs, none is lost, and the folder goes."""

from bisect import bisect_right
from pathlib import Path

import pyarrow as pa
import pytest

from shadow_deployment.base.parts import parts_on_disk, places_among


@pytest.mark.parametrize("bounds", [[], ["m"], ["b", "m", "z"], ["b", "b", "m", "m", "z", "é", "é"]])
def test_a_text_is_behind_the_bounds_that_it_is_not_below(bounds: list[str]) -> None:
    texts = ["", "a", "b", "ba", "lz", "m", "n", "z", "zz", "é", "ü"]
    expected = [bisect_right(bounds, text) for text in texts]
    assert places_among(pa.chunked_array([texts[:3], texts[3:]]), pa.array(bounds, pa.string())).tolist() == expected


def test_parts_hold_all_rows_in_the_order_in_which_they_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    chunks = [pa.table({"n": pa.array(numbers, pa.int64())}) for numbers in ([7, 4, 1], [], [2, 9, 4], [0])]
    parts = parts_on_disk(chunks, lambda rows: rows["n"].to_numpy() // 3, 5)
    assert next(parts)["n"].to_pylist() == [1, 2, 0]
    assert len(list(tmp_path.iterdir())) == 1
    assert [part["n"].to_pylist() for part in parts] == [[4, 4], [7], [9], []]
    assert not list(tmp_path.iterdir())
    assert list(parts_on_disk([chunks[1]], lambda rows: rows["n"].to_numpy(), 5)) == []
