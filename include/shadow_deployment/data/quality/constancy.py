"""Values that stopped varying: all of a day are the same, and on earlier days they were not.

A column that disappeared is all null or one default, a model that is dead says one number. A flag that is seldom set is
neither, nor is the gust of a calm day: the most frequent value has another share each day. With shares that are Beta
distributed, with the mean of the earlier days and their variance, n values are all the same with a probability of
B(a + n, b) / B(a, b), and only what is less probable than one in a million is a finding.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from shadow_deployment.base.numbers import quantity
from shadow_deployment.data.rows import PART_ROWS, Rows

FEWEST: Final = 100  # values of a day that say something
FEWEST_AT_FIRST: Final = 1000  # of a model, where no earlier day says how often it repeats itself
IMPROBABLE: Final = 1e-6


def varying(rows: Rows, columns: Sequence[str]) -> set[str]:
    """Return the columns in which two of the first requests differ, null being a value."""
    names = [name for name in dict.fromkeys(columns) if name in rows.schema.names]
    first = next(rows.read(names, PART_ROWS), None) if names else None
    return {name for name in names if first is not None and _counts(first.select([name])).num_rows > 1}


def vanished(rows: Rows, column: str, earlier: Iterable[Rows]) -> str | None:
    """Return what is wrong with a feature that is constant today, and was on none of some earlier days."""
    count, first = _all_the_same(rows.read([column], PART_ROWS))
    if count < FEWEST:
        return None
    seen = [_most_frequent(other.read([column], PART_ROWS)) for other in earlier if column in other.schema.names]
    shares = [share for share, of in seen if of >= FEWEST]
    if not shares or _probability(shares, count) >= IMPROBABLE:
        return None
    what = "have no value" if first[column].null_count else "have the same value"
    return f"all {quantity(count, 'request')} {what}, and none of {quantity(len(shares), 'earlier day')} was so"


def dead(rows: Rows, columns: Sequence[str], earlier: Iterable[Rows]) -> str | None:
    """Return what is wrong with a model all of whose predictions of a day are the same; requests without one aside.

    A prediction is all that stands in `columns`. Days on which the model was dead say nothing of it.
    """
    count, _ = _all_the_same(map(_predictions, rows.read(columns, PART_ROWS)))
    if count < FEWEST:
        return None
    seen = [_most_frequent(map(_predictions, other.read(columns, PART_ROWS))) for other in earlier]
    shares = [share for share, of in seen if of >= FEWEST and share < 1]
    if _probability(shares, count) >= IMPROBABLE if shares else count < FEWEST_AT_FIRST:
        return None
    return f"all {quantity(count, 'prediction')} are the same"


def _all_the_same(tables: Iterable[pa.Table]) -> tuple[int, pa.Table]:
    """Return how many rows there are where all are the same, and the first one; 0 where two differ."""
    first, count = pa.table({}), 0
    for table in tables:
        first = first if count else table.slice(0, 1)
        count += table.num_rows
        if table.num_rows and _counts(pa.concat_tables([first, table])).num_rows > 1:
            return 0, first
    return count, first


def _most_frequent(tables: Iterator[pa.Table]) -> tuple[float, int]:
    """Return the share of a day's most frequent value, and of how many rows; of a large day of the first ones."""
    table = next(tables, None)
    if table is None or not table.num_rows:
        return 1.0, 0
    return pc.max(_counts(table)["count_all"]).as_py() / table.num_rows, table.num_rows


def _probability(shares: Sequence[float], count: int) -> float:
    """Return the probability that so many values are all the same, by the most frequent value's share on some days.

    To the variance of few days that of a uniform share is added, as though it were that of one more day: a third of the
    greatest that a share of this mean can have.
    """
    mean = sum(shares) / len(shares)
    greatest = mean * (1 - mean)
    variance = (sum((share - mean) ** 2 for share in shares) + greatest / 3) / len(shares)
    if max(shares) == 1 or variance >= greatest:
        return 1.0
    total = greatest / variance - 1
    a = mean * total
    return math.exp(math.lgamma(a + count) - math.lgamma(a) + math.lgamma(total) - math.lgamma(total + count))


def _counts(table: pa.Table) -> pa.Table:
    names = [str(place) for place in range(table.num_columns)]  # a name that begins with a dot would be read as a path
    return table.rename_columns(names).group_by(names).aggregate([([], "count_all")])


def _predictions(table: pa.Table) -> pa.Table:
    """Return the rows that have a prediction, with a column for each of several probabilities."""
    table = table.drop_null()
    for name in [field.name for field in table.schema if pa.types.is_list(field.type)]:
        width = len(table[name][0]) if table.num_rows else 0
        for place in range(width):
            table = table.append_column(f"{name}/{place}", pc.list_element(table[name], place))
        table = table.drop_columns(name)
    return table
