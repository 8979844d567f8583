"""Estimators that know two or three classes, and files of them."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import joblib
from sklearn.linear_model import LogisticRegression

HOURS = [1.0, 9.0, 17.0, 23.0]
CLASSES = ["home", "draw", "away"]
THREE: dict[str, Any] = {
    "task": "multiclass",
    "classes": CLASSES,
    "requests": {"prediction": ["a", "b", "c"]},
    "policy": {"rules": [{"metric": "log_loss", "is": "superior"}]},
    "challengers": [],
}


def frame(hours: list[float]) -> Any:
    import pandas as pd

    return pd.DataFrame({"dep_hour": hours, "distance": [100.0] * len(hours)})


def fitted(labels: list[Any]) -> LogisticRegression:
    return LogisticRegression().fit(frame(HOURS), labels)


def saved(folder: Path, model: Any, how: str = "joblib") -> dict[str, Any]:
    """Write an estimator; return what a deployment says of it."""
    path = folder / f"model.{how}"
    if how == "joblib":
        joblib.dump(model, path, compress=3)
    elif how == "pickle":
        path.write_bytes(pickle.dumps(model))
    else:
        import skops.io

        skops.io.dump(model, path)
        return {"model": f"skops:{path}"}
    return {"model": f"sklearn:{path}", "unpickle": True, "digest": hashlib.sha256(path.read_bytes()).hexdigest()}
