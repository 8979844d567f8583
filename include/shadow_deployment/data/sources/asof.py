"""The as-of join: for each request the newest row of its key that was known when the request was made.

A source returns, by the request's place, the rows with the greatest `known_at` that is not after the request. Several
became known at the same moment: then the one with the greatest features counts, compared in their order, nulls being
least. Rows are compared here, so that each source has the same order.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

PLACE = "request place"


def one_each(newest: pa.Table, rows: int) -> pa.Table:
    """Return the features of requests in their order, nulls where none was found.

    Args:
        newest: Rows of the newest moment: a column PLACE, counted from 0, then the features.
        rows: How many requests there are.
    """
    names = [str(place) for place in range(newest.num_columns)]  # a name that begins with a dot would be read as a path
    order = ["ascending" if name == PLACE else "descending" for name in newest.column_names]  # nulls come last
    sort_keys = list(zip(names, order, strict=True))
    newest = newest.take(pc.sort_indices(newest.rename_columns(names), sort_keys=sort_keys))
    places = newest[PLACE].to_numpy()
    first = np.flatnonzero(np.diff(places, prepend=-1))
    row_of = np.full(rows, -1)
    row_of[places[first]] = first
    return newest.drop_columns(PLACE).take(pa.array(row_of, mask=row_of < 0)).combine_chunks()
