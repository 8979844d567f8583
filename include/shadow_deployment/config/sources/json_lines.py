"""Declared columns of JSON lines: a type, and the place on the line where the value stands."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator

TYPES: Final = ("string", "integer", "number", "boolean", "timestamp", "date")
CAPTURE: Final = "sagemaker_capture"
GROUND_TRUTH: Final = "sagemaker_ground_truth"
BUILT_IN: Final[Mapping[str | None, Mapping[str, str]]] = {  # the columns that a format has by itself
    None: {},
    CAPTURE: {"inferenceId": "string", "eventId": "string", "inferenceTime": "timestamp"},
    GROUND_TRUTH: {"eventId": "string", "uploadTime": "timestamp"},
}
ROOTS: Final[Mapping[str | None, tuple[str, ...]]] = {  # where a path may begin
    CAPTURE: ("input", "output", "captureData", "eventMetadata"),
    GROUND_TRUTH: ("data", "groundTruthData", "eventMetadata"),
}
_STEP: Final = r'\.(\w[\w-]*)|\."([^"]+)"|\[(\d+)\]'
_FORM: Final = re.compile(rf"(?P<type>\w+)(?:\s+\$(?P<path>(?:{_STEP})+))?")
_ALLOWED: Final = (
    f"must be one of {', '.join(TYPES)}, and after it, where the value is not at the top of the line, a path such as "
    "$.input.age or $.predictions[0]"
)


@dataclass(frozen=True)
class LineColumn:
    """A declared column; `path` is empty where the value stands under the column's own name."""

    type: str
    path: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "LineColumn":
        """Parse `TYPE` or `TYPE $.PATH`; raise ValueError that says what is allowed."""
        match = _FORM.fullmatch(text)
        if match is None or match["type"] not in TYPES:
            raise ValueError(_ALLOWED)
        steps = re.findall(_STEP, match["path"] or "")
        return cls(match["type"], tuple("".join(step) for step in steps))


def _column(text: str) -> str:
    LineColumn.parse(text)
    return text


DeclaredColumn = Annotated[str, AfterValidator(_column)]
