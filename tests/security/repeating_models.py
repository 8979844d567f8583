"""Models that fail, and repeat what they were asked in their last words."""

import os
import sys
from typing import Any

import pandas as pd


def raises(frame: pd.DataFrame) -> Any:
    """Refuse a request that is not like the others, as a library would: by name, by value, by row."""
    planted = frame[frame["distance"] > 100_000]
    if len(planted):
        row = planted.iloc[0]
        raise ValueError(
            f"cannot score {row.to_dict()}: distance={row['distance']} ({row['distance']:.4e}, {row['distance']:,.2f}) "
            f"of carrier {row['carrier']} is out of range"
        )
    return frame["dep_hour"] / 24


def prints_and_leaves(frame: pd.DataFrame) -> Any:
    """Print the request that is not like the others and end the process."""
    planted = frame[frame["distance"] > 100_000]
    if len(planted):
        print(planted.to_dict("records"), file=sys.stderr, flush=True)
        os._exit(3)
    return frame["dep_hour"] / 24
