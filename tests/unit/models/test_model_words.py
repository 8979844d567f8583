"""What models write: columns that they need are named, values of requests are not."""

import pyarrow as pa
import pytest

from shadow_deployment.models.model_words import without_columns

BATCH = pa.RecordBatch.from_pydict({"hour": [1.0], "carrier": ["AA"]})


@pytest.mark.parametrize(
    ("text", "absent", "needed"),
    [
        ("'wind'", ["wind"], "column wind"),
        ("columns are missing: {'wind'}", [], "column wind"),
        ("Failed to enforce schema: Model is missing inputs ['wind', 'rain'].", [], "columns wind, rain"),
    ],
)
def test_columns_that_a_model_needs_are_named(text: str, absent: list[str], needed: str) -> None:
    said = f"the model needs the {needed}, which requests.features (hour, carrier) does not list"
    assert without_columns(text, absent, BATCH) == said


@pytest.mark.parametrize(("text", "absent"), [("'AA'", ["AA"]), ("missing inputs ['AA']", []), ("'wind'", [])])
def test_what_may_be_a_value_of_a_request_is_not(text: str, absent: list[str]) -> None:
    assert without_columns(text, absent, BATCH) is None
