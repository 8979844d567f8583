"""Functions of custom metrics: honest ones, and some that do what no metric may."""

import itertools
import os
import sys
import time
from typing import Any

import numpy as np
import pandas as pd

PRICE = 0.5
_calls = itertools.count()
_kept: list[bytearray] = []


def profit(prediction: Any, label: Any, request: pd.DataFrame) -> Any:
    """Each flight that is called late costs its distance in thousands; one that is late by then earns two."""
    called = prediction >= 0.5
    return pd.Series(np.where(called, 2.0 * label - request["distance"] / 1000, 0.0), index=request.index)


def sorted_profit(prediction: Any, label: Any, request: pd.DataFrame) -> Any:
    """Return the same values in another order, with the index of their requests."""
    return profit(prediction, label, request).sort_values()


def closeness(prediction: Any, label: Any, request: Any) -> Any:
    return 1 - np.abs(prediction - label)


def price(prediction: Any, request: pd.DataFrame) -> Any:
    return np.where(prediction >= 0.5, PRICE, 0.0)


def class_profit(prediction: pd.DataFrame, label: Any, request: pd.DataFrame) -> Any:
    """Return the probability of what happened, and 1 more where a request is of the class "b"."""
    of_label = prediction.to_numpy()[np.arange(len(label)), [list(prediction.columns).index(name) for name in label]]
    return of_label + (label == "b")


def too_few(prediction: Any, label: Any, request: Any) -> Any:
    return np.zeros(len(label) - 1)


def one_number(prediction: Any, label: Any, request: Any) -> Any:
    return 1.0


def text(prediction: Any, label: Any, request: Any) -> Any:
    return ["1"] * len(label)


def not_a_number(prediction: Any, label: Any, request: Any) -> Any:
    return np.where(prediction > 0.5, np.nan, 1.0)


def infinite(prediction: Any, label: Any, request: Any) -> Any:
    return np.full(len(label), np.inf)


def too_much(prediction: Any, label: Any, request: Any) -> Any:
    return np.where(prediction > 0.5, 7.25, 1.0)


def of_its_place(prediction: Any, label: Any, request: Any) -> Any:
    return np.linspace(0, 1, len(label))


def ranked(prediction: Any, label: Any, request: Any) -> Any:
    """Sort the values, which then are those of other requests."""
    return np.sort(np.abs(prediction - label))


def of_the_others(prediction: Any, label: Any, request: Any) -> Any:
    return prediction - prediction.mean()


def of_chance(prediction: Any, label: Any, request: Any) -> Any:
    return np.random.default_rng().random(len(label))


def of_its_calls(prediction: Any, label: Any, request: Any) -> Any:
    return np.full(len(label), next(_calls) / 1000)


def other_index(prediction: Any, label: Any, request: Any) -> Any:
    return pd.Series(prediction, index=[f"r{number}" for number in range(len(label))])


def refuse(prediction: Any, label: Any, request: pd.DataFrame) -> Any:
    raise ValueError(f"distance {request['distance'].iloc[0]} of 'JFK' is not to be repeated")


def print_surroundings(prediction: Any, label: Any, request: Any) -> Any:
    print(dict(os.environ), flush=True)
    os._exit(int(any("PASSWORD" in name or name.startswith("AIRFLOW_CONN") for name in os.environ)) + 3)


def hang(prediction: Any, label: Any, request: Any) -> Any:
    time.sleep(600)


def take_memory(prediction: Any, label: Any, request: Any) -> Any:
    while True:
        _kept.append(bytearray(b"x" * (16 << 20)))
        time.sleep(0.01)


def leave(prediction: Any, label: Any, request: Any) -> Any:
    sys.exit(3)


def four_arguments(prediction: Any, label: Any, request: Any, threshold: float) -> Any:
    return prediction >= threshold


def spoil(prediction: Any, label: Any, request: pd.DataFrame) -> Any:
    """Change what it was given: nobody else sees it."""
    values = profit(prediction, label, request)
    prediction[:], label[:], request["distance"] = 0.0, 0.0, 0.0
    return values


NUMBER = 5
biggest = max
