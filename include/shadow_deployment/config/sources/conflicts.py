"""What a deployment file says of production and contradicts itself in."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from shadow_deployment.config.partitions import JSONL, LakeTable, Pattern, engine_of, is_files
from shadow_deployment.config.sources.json_lines import BUILT_IN, ROOTS, LineColumn
from shadow_deployment.config.yaml_source import Location, shorten, suggestion

if TYPE_CHECKING:
    from shadow_deployment.config.deployment import Deployment
    from shadow_deployment.config.sources.tables import SourceTable

Conflicts = Iterator[tuple[Location, str]]
Used = str | list[str] | None


def source_conflicts(deployment: "Deployment") -> Conflicts:
    """Yield what an engine lacks, keys that belong to JSON lines only, and their columns that are declared wrongly."""
    for location, table, columns in _tables(deployment):
        yield from _engine(location, table, deployment)
        yield from _columns(location, table, columns)
    yield from _logged(deployment)


def _tables(deployment: "Deployment") -> Iterator[tuple[Location, "SourceTable", Mapping[Location, Used]]]:
    """Yield the place of each table in the file, the table, and the columns of it that are used, by their place."""
    yield ("requests",), deployment.requests, _columns_of_requests(deployment)
    labels = deployment.labels
    yield ("labels",), labels, {("labels", name): getattr(labels, name) for name in ("id", "value", "time")}
    for position, challenger in enumerate(deployment.challengers):
        if own := challenger.features_from:
            location: Location = ("challengers", position, "features_from")
            yield location, own, {(*location, name): getattr(own, name) for name in ("id", "known_at", "features")}


def _engine(location: Location, table: "SourceTable", deployment: "Deployment") -> Conflicts:
    """Yield a connection that a table lacks, a place that Athena lacks, and partitions that are read all the same."""
    key, engine = _key(location), engine_of(table.table)
    if table.conn_id is None and engine in ("postgres", "spark"):
        yield (*location, "conn_id"), f"{key}.conn_id is missing"
    if engine == "athena" and not deployment.store.snapshots.startswith("s3://"):
        text = "must be s3://BUCKET/PREFIX, where Athena can write what it answers"
        yield ("store", "snapshots"), f"store.snapshots == {shorten(deployment.store.snapshots)}, {text}"
    if location[0] == "challengers" and engine in ("spark", "athena") and LakeTable.parse(table.table).partition:
        text = "must be without /COLUMN={day}: what was known may be of any day, so that all partitions are read"
        yield (*location, "table"), f"{key}.table == {shorten(table.table)}, {text}"


def _columns(location: Location, table: "SourceTable", used: Mapping[Location, Used]) -> Conflicts:
    key = _key(location)
    if "flushed_within" in table.model_fields_set and not (
        is_files(table.table) and Pattern.parse(table.table).is_daily
    ):
        text = f"belongs to files with {{day}} in {key}.table"
        yield (*location, "flushed_within"), f"{key}.flushed_within == {table.flushed_within}, {text}"
    if not table.table.startswith(JSONL):
        for name in ("columns", "format"):
            if getattr(table, name):
                yield (*location, name), f"{key}.{name} belongs to JSON lines: {key}.table must be jsonl:PATH"
        return
    built_in = BUILT_IN[table.format]
    if not table.columns:
        yield (*location, "columns"), f"{key}.columns is missing: JSON lines need the type of each column that is used"
        return
    yield from _wrong_declarations(location, table)
    names = [*table.columns, *built_in]
    for place, columns in used.items():
        for position, name in enumerate([columns] if isinstance(columns, str) else columns or ()):
            if name not in names:
                where = place if isinstance(columns, str) else (*place, position)
                text = f"must be one of {key}.columns: {', '.join(names)}{suggestion(name, names)}"
                yield where, f"{_key(where)} == {shorten(name)}, {text}"


def _wrong_declarations(location: Location, table: "SourceTable") -> Conflicts:
    """Yield columns that hide another one, and paths that a format does not have."""
    seen = {name.lower(): name for name in BUILT_IN[table.format]}
    keys: dict[str, str] = {}
    for name, text in table.columns.items():
        place = (*location, "columns", name)
        where = _key(place)
        other = seen.setdefault(name.lower(), name)
        if other != name or name in BUILT_IN[table.format]:
            yield place, f"{where} must differ from {other} in more than capitals"
        path, roots = LineColumn.parse(text).path, ROOTS.get(table.format, ())
        if path and roots and path[0] not in roots:
            allowed = ", ".join(f"$.{root}" for root in roots)
            yield place, f"{where} == {shorten(text)}, must begin with one of {allowed}"
        first = path[0] if path else name
        if not roots and keys.setdefault(first.lower(), first) != first and other == name:
            like = f"must begin with a key that differs from {keys[first.lower()]} in more than capitals"
            yield place, f"{where} == {shorten(text)}, {like}"


def _columns_of_requests(deployment: "Deployment") -> dict[Location, Used]:
    log = deployment.requests
    used: dict[Location, Used] = {
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
        if each.features_from:
            used["challengers", position, "features_from", "key"] = each.features_from.key
    return used


def _key(location: Location) -> str:
    """Return a place as it is written: `requests.features[1]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def _logged(deployment: "Deployment") -> Conflicts:
    """Yield another table than the log where that is not in Postgres."""
    is_in_postgres = engine_of(deployment.requests.table) == "postgres"
    for position, challenger in enumerate(deployment.challengers):
        if challenger.kind == "logged" and "." in challenger.address and not is_in_postgres:
            text = "must be logged:COLUMN, a column of the log itself, where requests.table is not in Postgres"
            yield (
                ("challengers", position, "model"),
                f"challengers[{position}].model == {shorten(challenger.model)}, {text}",
            )
