"""What identifies a row: a column, or several, as one text that is the same in every source.

Of several columns, each part is its text with % written as %25 and / as %2F, and the parts are joined by /: so keys
differ where a column does. A time is in UTC, to the microsecond. Where a part is null, the key is.
"""

from collections.abc import Sequence
from typing import Literal

from psycopg import sql

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.fields import KEY
from shadow_deployment.config.sources.tables import FeaturesFrom
from shadow_deployment.data.sources.table import Table

IdColumn = Literal["request_id", "label_key"]

_PART = "replace(replace({}, '%', '%25'), '/', '%2F')"
_VALUE = "CAST(replace(replace(split_part(\"request id\", '/', {}), '%2F', '/'), '%25', '%') AS {})"


def columns_of_key(columns: str | Sequence[str]) -> list[str]:
    """Return the columns of an id or a key."""
    return [columns] if isinstance(columns, str) else list(columns)


def label_column(deployment: Deployment) -> IdColumn:
    """Return the column of a sample by which labels are looked up: it names a subject, too."""
    return "request_id" if deployment.labels.key is None else "label_key"


def key_column(deployment: Deployment, wanted: FeaturesFrom) -> str:
    """Return the column of a sample by which features of a challenger's own are looked up."""
    if wanted.key in (None, deployment.requests.id):
        return "request_id"
    return "label_key" if wanted.key == deployment.labels.key else KEY + ",".join(columns_of_key(wanted.key or ()))


def key_text(table: Table, columns: str | Sequence[str], key: str) -> sql.Composable:
    """Return the text of a key as SQL; raise SourceError where a column is missing or its text differs by source.

    `key` is the key of the deployment that names the columns, for the error.
    """
    if isinstance(columns, str):
        return table.text(columns, key)
    parts = [sql.SQL(_PART).format(table.part_of_key(name, key)) for name in columns]
    return sql.SQL("({})").format(sql.SQL(" || '/' || ").join(parts))


def has_key(table: Table, columns: str | Sequence[str], key: str, alias: str) -> sql.Composable:
    """Return the condition that a row of `alias` has the key that stands in the column "request id".

    Columns are compared, and not the text of keys, so that an index on them finds the row.
    """
    names = columns_of_key(columns)
    text = sql.SQL('CAST("request id" AS {})')
    values = (
        [text.format(table.type_of(names[0], key))]
        if isinstance(columns, str)
        else [sql.SQL(_VALUE).format(number, table.type_of(name, key)) for number, name in enumerate(names, start=1)]
    )
    equal = [
        sql.SQL("{} = {}").format(sql.Identifier(alias, name), value) for name, value in zip(names, values, strict=True)
    ]
    return sql.SQL(" AND ").join(equal)
