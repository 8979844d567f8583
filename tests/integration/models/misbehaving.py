"""Models that do what no model should, each as a function of a DataFrame."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pandas as pd

WEIGHTS = {"dep_hour": 0.1, "distance": -0.001}
POISON = 13.0  # a value of dep_hour
_kept: list[bytearray] = []


def good(frame: pd.DataFrame) -> Any:
    return frame["dep_hour"] / 24


def linear(frame: pd.DataFrame) -> Any:
    return 1 / (1 + np.exp(-(WEIGHTS["dep_hour"] * frame["dep_hour"] + WEIGHTS["distance"] * frame["distance"])))


def hang(frame: pd.DataFrame) -> Any:
    time.sleep(600)


def crash(frame: pd.DataFrame) -> Any:
    ctypes.string_at(0)


def leave(frame: pd.DataFrame) -> Any:
    print("leaving now", file=sys.stderr)
    os._exit(7)


def take_memory(frame: pd.DataFrame) -> Any:
    while True:
        _kept.append(bytearray(b"x" * (16 << 20)))
        time.sleep(0.01)


def leak_slowly(frame: pd.DataFrame) -> Any:
    """Answer at once, and hold more memory a moment later."""
    threading.Timer(0.05, lambda: _kept.append(bytearray(b"x" * (60 << 20)))).start()
    return good(frame)


def too_few(frame: pd.DataFrame) -> Any:
    return good(frame)[:-1]


def nan(frame: pd.DataFrame) -> Any:
    return [float("nan")] * len(frame)


def text(frame: pd.DataFrame) -> Any:
    return ["0.5"] * len(frame)


def text_of_objects(frame: pd.DataFrame) -> Any:
    return pd.Series(["0.5"] * len(frame), dtype=object)


def shape(frame: pd.DataFrame) -> Any:
    return np.ones((len(frame), 3)) / 3


def missing_some(frame: pd.DataFrame) -> Any:
    return [None if hour == POISON else hour / 24 for hour in frame["dep_hour"]]


def chatter(frame: pd.DataFrame) -> Any:
    print("\x00\x01" * 1000, flush=True)
    os.write(1, b"\xff" * 5000)
    os.write(2, b"words without end " * 600_000)
    return good(frame)


def refuse(frame: pd.DataFrame) -> Any:
    raise RuntimeError("not today")


def exit_politely(frame: pd.DataFrame) -> Any:
    sys.exit(3)


def poisoned(frame: pd.DataFrame) -> Any:
    if (frame["dep_hour"] == POISON).any():
        os.kill(os.getpid(), signal.SIGSEGV)
    return good(frame)


def poisoned_slowly(frame: pd.DataFrame) -> Any:
    if (frame["dep_hour"] == POISON).any():
        time.sleep(600)
    return good(frame)


def poisoned_politely(frame: pd.DataFrame) -> Any:
    if (frame["dep_hour"] == POISON).any():
        raise ValueError("thirteen")
    return good(frame)


def fork(frame: pd.DataFrame) -> Any:
    """Leave children behind: one that comes back from the call, one that sleeps, and a program."""
    pid = os.fork()
    if pid == 0:
        return good(frame)
    if os.fork() == 0:
        time.sleep(600)
    subprocess.Popen(["sleep", "600"])
    return good(frame)


def fork_and_leave(frame: pd.DataFrame) -> Any:
    if os.fork() == 0:
        time.sleep(600)
    os._exit(1)


def start_and_leave(frame: pd.DataFrame) -> Any:
    subprocess.Popen(["sleep", "600"])
    os._exit(1)


def take_memory_in_a_fork(frame: pd.DataFrame) -> Any:
    pid = os.fork()
    if pid == 0:
        take_memory(frame)
    os.waitpid(pid, 0)


def close_everything(frame: pd.DataFrame) -> Any:
    os.closerange(0, 64)
    time.sleep(600)


def write_into_pipes(frame: pd.DataFrame) -> Any:
    for pipe in range(3, 64):
        try:
            os.write(pipe, b"not a frame, and longer than any header is")
        except OSError:
            continue
    return good(frame)


def leave_at_the_second(frame: pd.DataFrame) -> Any:
    _kept.append(bytearray())
    if len(_kept) > 1:
        os._exit(5)
    return good(frame)


def remember(frame: pd.DataFrame) -> Any:
    _kept.append(bytearray())
    return good(frame) + len(_kept)


def speak_and_leave(frame: pd.DataFrame) -> Any:
    if POISON in list(frame["dep_hour"]):
        print("the last words", flush=True)
        os._exit(3)
    print("words of the day before", flush=True)
    return good(frame)


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def hang_in_text(frame: pd.DataFrame) -> Any:
    raise UnreadableError


def rows_of_the_call(frame: pd.DataFrame) -> Any:
    return [len(frame)] * len(frame)


def leave_loudly(frame: pd.DataFrame) -> Any:
    print("noise " * 10_000, "the last words", flush=True)
    os._exit(1)


def fork_and_hang(frame: pd.DataFrame) -> Any:
    os.fork()
    time.sleep(600)


class Model:
    def predict(self, frame: pd.DataFrame) -> Any:
        return good(frame)


model = Model()
NUMBER = 5


def surroundings(frame: pd.DataFrame) -> Any:
    """Answer 1 where anything secret is within reach, 0 where not."""
    names = [
        name for name, value in os.environ.items() if name.startswith(("AIRFLOW_", "SHADOW_")) or "secret" in value
    ]
    return [float(bool(names))] * len(frame)


def describe(frame: pd.DataFrame) -> Any:
    """Answer 1 where the frame is as promised: the features in their order, null as NaN."""
    is_right = list(frame.columns) == ["dep_hour", "distance"] and frame["distance"].dtype == np.float64
    return pd.DataFrame({"any": [float(is_right and bool(frame.isna().iloc[1].all()))] * len(frame)})


CHOICES = (
    good,
    too_few,
    shape,
    text,
    text_of_objects,
    nan,
    refuse,
    exit_politely,
    hang_in_text,
    chatter,
    fork,
    model.predict,
)


def choose(frame: pd.DataFrame) -> Any:
    """Do what the first hour is the number of."""
    return CHOICES[int(frame["dep_hour"].iloc[0])](frame)
