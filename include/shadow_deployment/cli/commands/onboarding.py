"""The commands `init`, which proposes a deployment file from tables, and `schema`, for editors."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.markup import escape

from shadow_deployment.cli import console
from shadow_deployment.cli.commands.doctor import checks_of
from shadow_deployment.cli.commands.doctor import table as table_of_checks
from shadow_deployment.cli.context import context_of
from shadow_deployment.config import discovery
from shadow_deployment.config.reference import SCHEMA_FILE
from shadow_deployment.data.connections import environment
from shadow_deployment.data.storage import replacing
from shadow_deployment.doctor.policy import policy_warnings
from shadow_deployment.errors import DeploymentError
from shadow_deployment.integrations.cloud import TerminalCloud
from shadow_deployment.onboarding.proposal.interview import Interview, Question, shown
from shadow_deployment.onboarding.proposal.propose import ProposedFile, propose
from shadow_deployment.onboarding.proposal.writing import SCHEMA_NAME
from shadow_deployment.report.terminal import Listing, Prose

_PLACES, _COLUMNS, _CHOICES = "Where things lie", "Which column is what", "What to compare, and how"


def _option(panel: str, text: str) -> Any:
    return typer.Option(help=text, rich_help_panel=panel, show_default=False)


def init(
    name: console.Name,
    requests: Annotated[str | None, _option(_PLACES, "Prediction log: SCHEMA.TABLE, Parquet or JSON lines.")] = None,
    labels: Annotated[str | None, _option(_PLACES, "Labels: SCHEMA.TABLE, Parquet or JSON lines.")] = None,
    conn_id: Annotated[str | None, _option(_PLACES, "Airflow connection of the log.")] = None,
    labels_conn_id: Annotated[str | None, _option(_PLACES, "That of the labels, if it is another.")] = None,
    store_conn_id: Annotated[str | None, _option(_PLACES, "That of the ledger (shadow_db).")] = None,
    snapshots: Annotated[str | None, _option(_PLACES, "Folder of the daily samples (.shadow/snapshots).")] = None,
    id: Annotated[str | None, _option(_COLUMNS, "Request id.")] = None,  # noqa: A002
    time: Annotated[str | None, _option(_COLUMNS, "Time of the request.")] = None,
    prediction: Annotated[str | None, _option(_COLUMNS, "Champion's prediction; or A,B,C: one a class.")] = None,
    features: Annotated[str | None, _option(_COLUMNS, "Inputs of the models, as A,B,C.")] = None,
    version: Annotated[str | None, _option(_COLUMNS, "Champion's version; none: there is none.")] = None,
    latency: Annotated[str | None, _option(_COLUMNS, "Champion's latency in ms; none.")] = None,
    slices: Annotated[str | None, _option(_COLUMNS, "Columns to keep evidence apart by, as A,B; none.")] = None,
    strata: Annotated[str | None, _option(_COLUMNS, "Columns to sample apart by, as A,B; none.")] = None,
    label_id: Annotated[str | None, _option(_COLUMNS, "Request id, or shared key, among the labels.")] = None,
    label_key: Annotated[str | None, _option(_COLUMNS, "Column of the log that --label-id matches.")] = None,
    label: Annotated[str | None, _option(_COLUMNS, "The label.")] = None,
    label_time: Annotated[str | None, _option(_COLUMNS, "When the label became known.")] = None,
    task: Annotated[str | None, _option(_CHOICES, "binary, regression or multiclass.")] = None,
    positive: Annotated[str | None, _option(_CHOICES, "Text of a label that means 1.")] = None,
    classes: Annotated[str | None, _option(_CHOICES, "Labels in the order of --prediction, as A,B,C.")] = None,
    maturity_days: Annotated[str | None, _option(_CHOICES, "Days that labels may take to arrive.")] = None,
    rate: Annotated[str | None, _option(_CHOICES, "Share of the requests to draw.")] = None,
    start: Annotated[str | None, _option(_CHOICES, "First day to run, YYYY-MM-DD.")] = None,
    timezone: Annotated[str | None, _option(_CHOICES, "IANA time zone of the days (UTC).")] = None,
    challenger: Annotated[list[str] | None, _option(_CHOICES, "NAME=MODEL; again for another one.")] = None,
    trained_until: Annotated[list[str] | None, _option(_CHOICES, "NAME=DAY: last day of its training data.")] = None,
    unpickle: Annotated[bool, typer.Option("--unpickle", help="Accept that sklearn: files can run any code.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Take every proposal without asking.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Propose a deployment file from a prediction log and labels, and check it.

    At a terminal each proposal is a question; elsewhere flags and proposals
    answer. The file says what was inferred, and from what.
    """
    flags = {key: value for key, value in locals().items() if value}
    path = discovery.deployments_folder() / f"{name}.yaml"
    if path.exists() and not force:
        raise DeploymentError(f"{path} is there already: give --force to overwrite it, or another name")
    interview = Interview(flags, _ask if _is_terminal() and not yes else None)
    proposed = propose(name, interview, environment, TerminalCloud(), path)
    _write(proposed, path)
    _show(proposed, path)
    _examine(name, path)


def schema() -> None:
    """Print the JSON Schema of deployment files, for editors: every key, its type and what it means."""
    sys.stdout.write(SCHEMA_FILE.read_text(encoding="utf-8"))


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _ask(question: Question) -> str:
    """Put a question with its proposal and the reason for it."""
    console.show("")
    if question.hint:
        console.warning(question.hint)
    if question.proposal is not None:
        console.show(f"[dim]{escape(question.proposal.why)}[/]")
    elif question.choices:
        console.show(f"[dim]not recognised; one of {escape(', '.join(question.choices))}[/]")
    default = shown(question.proposal.value) if question.proposal else "" if question.may_be_empty else None
    none = "; none" if question.may_be_empty and question.proposal else ""
    return str(typer.prompt(f"{question.text}{none}", default=default, show_default=bool(default)))


def _write(proposed: ProposedFile, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for target, content in ((path, proposed.text), (path.with_name(SCHEMA_NAME), _schema_beside(path))):
            if content is not None:
                with replacing(target) as file:
                    file.write(content.encode())
                target.chmod(0o644)
    except OSError as error:
        raise DeploymentError(f"{path} cannot be written: {error.strerror or error}") from None


def _schema_beside(path: Path) -> str | None:
    """Return the schema for the folder of a file, None where there is one: somebody may have put it there."""
    text = SCHEMA_FILE.read_text(encoding="utf-8")
    beside = path.with_name(SCHEMA_NAME)
    if not beside.exists():
        return text
    if beside.read_text(encoding="utf-8") != text:
        console.warning(f"{beside} is that of another version: shadow schema > {beside}")
    return None


def _show(proposed: ProposedFile, path: Path) -> None:
    listing = Listing("key", "value", "because", prose=("value", "because"))
    for key, answer in proposed.answers.items():
        listing.add_row(escape(key), escape(shown(answer.value).replace(",", ", ")), escape(answer.why))
    notes = [Prose(f"- {escape(note)}") for note in proposed.notes]
    console.show(Group(Prose(f"[bold]{escape(proposed.name)}[/]: what the file says, and why"), listing, *notes))
    console.show(f"wrote {escape(str(path))}")


def _examine(name: str, path: Path) -> None:
    """Run the doctor on the new file, and print the next command."""
    checks = checks_of([name], with_installation=False)
    console.show(table_of_checks(checks))
    for doubt in policy_warnings(context_of(name).deployment, path):
        console.warning(doubt)
    failed = [check.what for check in checks if check.state == "failed"]
    if failed and failed != ["migrations"]:  # a preview needs no ledger
        console.show(f"next: correct {escape(', '.join(failed))}, then [bold]shadow doctor {name}[/]")
    else:
        console.show(f"next: [bold]shadow preview {name}[/]")
