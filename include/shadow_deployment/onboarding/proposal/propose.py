"""A complete deployment file from two tables: what was inferred, and from what, stands beside it."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shadow_deployment.config.deployment import Deployment, parse_deployment
from shadow_deployment.config.partitions import is_files
from shadow_deployment.config.yaml_source import YamlSource
from shadow_deployment.context import Cloud, DeploymentContext
from shadow_deployment.data.connections import Connections
from shadow_deployment.errors import DeploymentError
from shadow_deployment.onboarding.proposal import answers, columns
from shadow_deployment.onboarding.proposal.challengers import A_A_CHECK, ask_challengers, count_from, input_names
from shadow_deployment.onboarding.proposal.draft import Draft
from shadow_deployment.onboarding.proposal.interview import Answer, Interview, Question
from shadow_deployment.onboarding.proposal.measures import find_rate, find_start, measure
from shadow_deployment.onboarding.proposal.rules import proposed_rules
from shadow_deployment.onboarding.proposal.writing import Line, yaml_text
from shadow_deployment.onboarding.tables.folders import pattern_of
from shadow_deployment.onboarding.tables.opening import open_table

_LOG_KEYS: Final = ("conn_id", "table", "columns", "id", "time", "features", "prediction", "version", "latency")
_LABEL_KEYS: Final = (
    *("conn_id", "table", "columns", "id", "key"),
    *("value", "positive", "negative", "time", "maturity_days"),
)
_LONG_AGO: Final = dt.date(1970, 1, 1)


@dataclass(frozen=True)
class ProposedFile:
    """A deployment file that is valid: its text, what each inferred key rests on, and what else was noticed."""

    name: str
    text: str
    answers: dict[str, Answer]
    notes: list[str]
    deployment: Deployment


def propose(name: str, interview: Interview, connections: Connections, cloud: Cloud, path: Path) -> ProposedFile:
    """Return the file that is proposed for two tables of production.

    Args:
        name: The deployment's name.
        interview: Answers what is not recognised.
        connections: Finds a connection by its id.
        cloud: Opens files, on S3 too.
        path: Where the file is going to be, for errors.

    Raises:
        DeploymentError: Something cannot be recognised without a terminal (names the flag), or an answer is wrong.
        SourceError, CredentialsError, TransientError: Production cannot be read.
    """
    answers.require_name(name)
    draft = Draft(interview)
    tables = _open_tables(draft, connections, cloud)
    columns.ask_requests(draft, tables)
    columns.ask_labels(draft, tables)
    columns.ask_task(draft, tables)
    challengers = ask_challengers(interview)
    columns.ask_inputs(draft, tables, input_names(challengers))
    _ask_places(draft)
    text = "IANA time zone in which a day is a day"
    zone = Answer("UTC", "by default: a day begins at midnight in this time zone")
    draft.ask(Question("timezone", "--timezone", text, zone, parse=answers.timezone))
    _measure(draft, tables, _lines(draft, name, challengers), connections, cloud)
    text = yaml_text(_heading(draft, tables), _lines(draft, name, challengers))
    deployment = parse_deployment(YamlSource.from_text(text, str(path)))
    return ProposedFile(name, text, draft.answers, draft.notes, deployment)


def _open_tables(draft: Draft, connections: Connections, cloud: Cloud) -> columns.Tables:
    opened = []
    text = "Prediction log: SCHEMA.TABLE, or a folder of Parquet files or JSON lines"
    for key, flag, conn_flag in (
        ("requests", "--requests", "--conn-id"),
        ("labels", "--labels", "--labels-conn-id"),
    ):
        table = draft.ask(Question(f"{key}.table", flag, text, parse=pattern_of))
        conn_id = _connection(draft, key, conn_flag, table)
        opened.append(open_table(table, conn_id, f"{key}.table", connections, cloud))
        if declared := opened[-1].declared:
            types = {name: Line(text) for name, text in declared.items()}
            draft.keep(f"{key}.columns", types, "as the newest lines have them: inferred types could differ by day")
        text = "Labels: SCHEMA.TABLE, or a folder of Parquet files or JSON lines"
    return columns.look_at(*opened)


def _connection(draft: Draft, key: str, flag: str, table: str) -> str | None:
    """Ask for a table's connection; one for files is taken from its flag only, since most need none."""
    if is_files(table) and not draft.interview.flag(flag):
        return None
    log = draft.get("requests.conn_id")
    question = Question(f"{key}.conn_id", flag, "Airflow connection of its database")
    chosen: str = draft.ask(question.proposing(log, "the connection of the requests") if log else question)
    return chosen


def _ask_places(draft: Draft) -> None:
    for key, flag, text, default in (
        ("store.conn_id", "--store-conn-id", "Airflow connection of the ledger's database", "shadow_db"),
        ("store.snapshots", "--snapshots", "Folder of the daily samples", ".shadow/snapshots"),
    ):
        draft.ask(Question(key, flag, text, Answer(default, "by default")))


def _measure(
    draft: Draft, tables: columns.Tables, lines: dict[str, Line], connections: Connections, cloud: Cloud
) -> None:
    """Count a day with what is known so far, and ask for the sampling rate and the first day."""
    span = tables.log_table.span(draft["requests.time"])
    if span is None:
        raise DeploymentError(f"requests.time == {draft['requests.time']!r}, must have times: all are null or infinite")
    first = parse_deployment(YamlSource.from_text(yaml_text([], lines), "the proposed deployment"))
    context = DeploymentContext(first, connections, cloud)
    context.check_sources()
    volume = measure(context, span)
    text = "Share of the requests to draw"
    draft.ask(Question("sample.rate", "--rate", text, find_rate(volume), parse=answers.share))
    start = find_start(volume, count_from(list(lines["challengers"].value)[:-1], draft["labels.maturity_days"]))
    draft.ask(Question("start", "--start", "First day to run", start, parse=answers.day))


def _heading(draft: Draft, tables: columns.Tables) -> list[str]:
    log, labels = (len(next(iter(each.values())).values) for each in (tables.log, tables.labels))
    read = f"{log:,} rows of {tables.log_table.name} and {labels:,} of {tables.label_table.name}"
    return [
        f"Proposed by `shadow init` from {read}. The reason for a value stands above it; check it, and remove it.",
        *(f"{note[0].upper()}{note[1:]}." for note in draft.notes),
    ]


def _lines(draft: Draft, name: str, challengers: list[Line]) -> dict[str, Line]:
    """Return the file's keys in their order; what is not measured yet has a value that is valid."""
    return {
        "name": Line(name),
        "start": draft.line("start") if draft.get("start") else Line(_LONG_AGO),
        "timezone": draft.line("timezone"),
        "task": draft.line("task"),
        **({"classes": draft.line("classes")} if draft.get("classes") else {}),
        "requests": Line(draft.section("requests", _LOG_KEYS), "The champion's prediction log: one row a request."),
        "labels": Line(draft.section("labels", _LABEL_KEYS), "Where the truth arrives."),
        "store": Line(draft.section("store", ("conn_id", "snapshots")), "Where evidence and daily samples are kept."),
        "sample": Line(_sample(draft), "How many requests the challengers answer."),
        **({"slices": draft.line("slices")} if draft.get("slices") else {}),
        "challengers": Line([*challengers, A_A_CHECK], "The models in shadow; nobody is served their predictions."),
        "policy": Line(_policy(draft, challengers), "What must hold for a promotion."),
    }


def _sample(draft: Draft) -> dict[str, Line]:
    sample = {"rate": draft.line("sample.rate") if draft.get("sample.rate") else Line(1.0)}
    if draft.get("sample.strata"):
        sample["strata"] = draft.line("sample.strata")
        sample["minimum_per_stratum"] = Line(200, "all requests of a value that has fewer, so that each can be judged")
    return sample


def _policy(draft: Draft, challengers: list[Line]) -> dict[str, Line]:
    counts = all("trained_until" in each.value for each in challengers)
    replay = (
        Line("count", "days before the challengers were registered count, after trained_until")
        if counts
        else Line("shown", "only days from now on decide: give each challenger trained_until, and set this to count")
    )
    return {
        "alpha": Line(0.05, "at most 5 % of the years promote a challenger that is no better, however often one looks"),
        "replay": replay,
        "rules": Line(proposed_rules(draft["task"]), "All must hold for PASS; one that is shown not to hold is FAIL."),
    }
