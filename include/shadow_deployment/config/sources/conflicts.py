"""What a deployment file says of production and contradicts itself in."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from shadow_deployment.config.partitions import JSONL, Pattern, engine_of, is_files
from shadow_deployment.config.sources.json_lines import BUILT_IN, ROOTS, LineColumn
from shadow_deployment.config.yaml_source import Location, shorten, suggestion

if TYPE_CHECKING:
    from shadow_deployment.config.deployment import Deployment
    from shadow_deployment.config.sources.tables import Labels, Requests


Conflicts = Iterator[tuple[Location, str]]


def source_conflicts(deployment: "Deployment") -> Conflicts:
    """Yield what an engine lacks, keys that belong to JSON lines only, and their columns that are declared wrongly."""
    yield from _engines(deployment)
    yield from _conflicts("requests", deployment.requests, _columns_of_requests(deployment))
    yield from _conflicts("labels", deployment.labels, _columns_of_labels(deployment))


def _conflicts(key: str, table: "Requests | Labels", used: Mapping[Location, str | list[str]]) -> Conflicts:
    if "flushed_within" in table.model_fields_set and not (
        is_files(table.table) and Pattern.parse(table.table).is_daily
    ):
        text = f"belongs to files with {{day}} in {key}.table"
        yield (key, "flushed_within"), f"{key}.flushed_within == {table.flushed_within}, {text}"
    if not table.table.startswith(JSONL):
        for name in ("columns", "format"):
            if getattr(table, name):
                yield (key, name), f"{key}.{name} belongs to JSON lines: {key}.table must be jsonl:PATH"
        return
    built_in = BUILT_IN[table.format]
    if not table.columns:
        yield (key, "columns"), f"{key}.columns is missing: JSON lines need the type of each column that is used"
        return
    yield from _wrong_declarations(key, table)
    names = [*table.columns, *built_in]
    for location, columns in used.items():
        for position, name in enumerate([columns] if isinstance(columns, str) else columns):
            if name not in names:
                where = location if isinstance(columns, str) else (*location, position)
                text = f"must be one of {key}.columns: {', '.join(names)}{suggestion(name, names)}"
                yield where, f"{_key(where)} == {shorten(name)}, {text}"


def _wrong_declarations(key: str, table: "Requests | Labels") -> Conflicts:
    """Yield columns that hide another one, and paths that a format does not have."""
    seen = {name.lower(): name for name in BUILT_IN[table.format]}
    keys: dict[str, str] = {}
    for name, text in table.columns.items():
        where = f"{key}.columns.{name}"
        other = seen.setdefault(name.lower(), name)
        if other != name or name in BUILT_IN[table.format]:
            yield (key, "columns", name), f"{where} must differ from {other} in more than capitals"
        path, roots = LineColumn.parse(text).path, ROOTS.get(table.format, ())
        if path and roots and path[0] not in roots:
            allowed = ", ".join(f"$.{root}" for root in roots)
            yield (key, "columns", name), f"{where} == {shorten(text)}, must begin with one of {allowed}"
        first = path[0] if path else name
        if not roots and keys.setdefault(first.lower(), first) != first and other == name:
            like = f"must begin with a key that differs from {keys[first.lower()]} in more than capitals"
            yield (key, "columns", name), f"{where} == {shorten(text)}, {like}"


def _columns_of_requests(deployment: "Deployment") -> dict[Location, str | list[str]]:
    log = deployment.requests
    used: dict[Location, str | list[str] | None] = {
        ("requests", "id"): log.id,
        ("requests", "time"): log.time,
        ("requests", "features"): log.features,
        ("requests", "prediction"): log.prediction if isinstance(log.prediction, str) else log.prediction_columns,
        ("requests", "version"): log.version,
        ("requests", "latency"): log.latency,
        ("labels", "key"): deployment.labels.key,
        ("sample", "strata"): deployment.sample.strata,
        ("slices",): deployment.slices,
    }
    for position, each in enumerate(deployment.challengers):
        for name in each.logged_columns(log.table):
            used["challengers", position, "model"] = name
    return {location: columns for location, columns in used.items() if columns is not None}


def _columns_of_labels(deployment: "Deployment") -> dict[Location, str | list[str]]:
    labels = deployment.labels
    return {("labels", "id"): labels.id, ("labels", "value"): labels.value, ("labels", "time"): labels.time}


def _key(location: Location) -> str:
    """Return a place as it is written: `requests.features[1]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def _engines(deployment: "Deployment") -> Conflicts:
    """Yield a connection that production lacks, and another table than the log where that is not in Postgres."""
    for key, section in (("requests", deployment.requests), ("labels", deployment.labels)):
        engine = engine_of(section.table)
        if section.conn_id is None and engine in ("postgres", "spark"):
            yield (key, "conn_id"), f"{key}.conn_id is missing"
        if engine == "athena" and not deployment.store.snapshots.startswith("s3://"):
            text = "must be s3://BUCKET/PREFIX, where Athena can write what it answers"
            yield ("store", "snapshots"), f"store.snapshots == {shorten(deployment.store.snapshots)}, {text}"
    is_in_postgres = engine_of(deployment.requests.table) == "postgres"
    for position, challenger in enumerate(deployment.challengers):
        if challenger.kind == "logged" and "." in challenger.address and not is_in_postgres:
            text = "must be logged:COLUMN, a column of the log itself, where requests.table is not in Postgres"
            yield (
                ("challengers", position, "model"),
                f"challengers[{position}].model == {shorten(challenger.model)}, {text}",
            )
