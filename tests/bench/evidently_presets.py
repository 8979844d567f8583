"""Evidently's presets on rows of a Parquet file, in an environment of its own: nothing of this project is imported.

`tests.bench.evidently` runs these functions by the name of this module.
"""

from typing import Any


def version() -> str:
    """Return the version that is installed."""
    from importlib.metadata import version

    return version("evidently")


def classification(path: str) -> int:
    """Run the classification preset on champion and challenger; return how many metrics it computed."""
    from evidently import BinaryClassification, DataDefinition, Dataset, Report
    from evidently.presets import ClassificationPreset

    frame = _frame(path)
    sets = []
    for model in ("champion", "challenger"):
        part = frame[["label", model]].rename(columns={model: "answer"})
        kind = BinaryClassification(target="label", prediction_probas="answer", pos_label=1)
        sets.append(Dataset.from_pandas(part, data_definition=DataDefinition(classification=[kind])))
    champion, challenger = sets
    return _metrics(Report([ClassificationPreset()]).run(challenger, champion))


def drift(path: str, features: list[str]) -> int:
    """Run the drift preset on the challenger's rows against the champion's: features and answers."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    frame = _frame(path)
    definition = DataDefinition(numerical_columns=[*features, "answer"])
    sets = [
        Dataset.from_pandas(frame[[*features, model]].rename(columns={model: "answer"}), data_definition=definition)
        for model in ("champion", "challenger")
    ]
    champion, challenger = sets
    return _metrics(Report([DataDriftPreset()]).run(challenger, champion))


def _frame(path: str) -> Any:
    import pandas as pd

    return pd.read_parquet(path)


def _metrics(snapshot: Any) -> int:
    return len(snapshot.dict()["metrics"])
