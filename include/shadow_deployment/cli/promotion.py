"""The registry's commands: promote, rollback, champion, promotions."""

import json
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shadow_deployment.cli.context import context_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.decision.finding import findings_of
from shadow_deployment.decision.wording import summary_of
from shadow_deployment.ledger.promotions import CurrentChampion, PromotionRecord
from shadow_deployment.promotion import registry, status
from shadow_deployment.promotion.request import PromotionRequest

Name = Annotated[str, typer.Argument(help="A deployment's name.", show_default=False)]
Approver = Annotated[str, typer.Option("--approved-by", help="Who has decided: it is kept.")]
Reason = Annotated[str, typer.Option("--reason", help="Why: it is kept.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
_SHORT = 12
_COLOURS = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the registry's commands to the command line."""
    for command in (promote, rollback, champion, promotions):
        app.command()(command)


def promote(
    name: Name,
    *,
    challenger: Annotated[str, typer.Option("--challenger", help="Who is to be champion.")],
    approved_by: Approver,
    reason: Reason,
    force: Annotated[
        bool, typer.Option("--force", help="Whatever its verdict, where promotion.allow_force is true.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Make a challenger the champion, on its newest verdict; shows the case and asks."""
    context = _shadow(name)
    found = registry.promotion_request(context, challenger)
    _print(case_text(found))
    registry.require_promotable(context.deployment, found, force=force)
    if not yes:
        typer.confirm(f"{'Force' if force else 'Promote'} {found.challenger.name}?", abort=True)
    made = registry.promote(context, challenger, approved_by=approved_by, reason=reason, expected=found, force=force)
    status.update_quietly(context)
    _print(f"{name}: the champion is {escape(str(made.champion))}")


def rollback(name: Name, approved_by: Approver, reason: Reason, yes: Yes = False) -> None:
    """Put the champion back that the newest promotion replaced; shows it and asks."""
    context = _shadow(name)
    undone = registry.promotion_to_undo(context)
    _print(
        f"{name}: takes back {escape(str(undone.champion))} ({escape(undone.reason)})\n"
        f"  champion again: {escape(undone.from_name)} {escape(undone.from_version)}, digest {_cut(undone.from_digest)}"
    )
    if not yes:
        typer.confirm(f"Roll back to {undone.from_name} {undone.from_version}?", abort=True)
    made = registry.rollback(context, approved_by=approved_by, reason=reason, undoes=undone.number)
    status.update_quietly(context)
    _print(f"{name}: the champion is {escape(str(made.champion))}")


def champion(
    name: Name,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON; null before the first promotion.")] = False,
    publish: Annotated[bool, typer.Option("--publish", help="Write the manifest, and MLflow's alias, again.")] = False,
) -> None:
    """Show who is champion since when, and by whom."""
    context = _shadow(name)
    written = registry.publish(context) if publish else None
    found = registry.champion(context)
    if as_json:
        sys.stdout.write(json.dumps(_champion(found), indent=2, default=_iso) + "\n")
    elif found is None:
        _print(f"{name}: nothing was promoted yet: the champion is what {context.deployment.requests.table} says")
    else:
        _print(f"{name}: {escape(str(found))}, digest {_cut(found.digest)}")
    if publish and not as_json:
        nothing = "wrote nothing: there is no promotion, or neither promotion.manifest nor promotion.mlflow"
        _print(f"wrote {escape(written)}" if written else nothing)


def promotions(
    name: Name, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False
) -> None:
    """Show every promotion and rollback, in order, with who approved it and why."""
    made = registry.history(_shadow(name))
    if as_json:
        for one in made:
            sys.stdout.write(json.dumps(asdict(one), default=_iso) + "\n")
    else:
        _print(history_table(made))


def case_text(found: PromotionRequest) -> str:
    """Return a case for a terminal: who would follow whom, on which verdict, and what stands in the way."""
    model, verdict = found.challenger, found.verdict
    would = f"{escape(model.name)} {escape(model.version)}, digest {_cut(model.digest)}, would follow"
    lines = [f"[bold]{escape(found.deployment)}[/]: {would} {escape(str(found.champion))}"]
    if verdict:
        lines.append(
            f"[{_COLOURS[verdict.outcome]}]{verdict.outcome}[/] of {verdict.day} against champion version "
            f"{escape(verdict.champion_version)}, on evidence {_cut(verdict.input_digest)}"
        )
        lines += [f"  {escape(summary_of(finding))}" for finding in findings_of(verdict.findings)]
    lines += [f"[bold red]in the way[/] {escape(one)}" for one in (*found.barred, *found.problems)]
    return "\n".join([*lines, f"case {_cut(found.digest)}"])


def history_table(made: list[PromotionRecord]) -> Table:
    """Return promotions as a table."""
    shown = Table(box=box.SIMPLE, header_style="bold", pad_edge=False)
    for heading in ("number", "at", "kind", "from", "to", "verdict", "approved by", "reason"):
        shown.add_column(heading, no_wrap=heading in ("number", "at", "kind"))
    for one in made:
        kind = f"{one.kind} of {one.undoes}" if one.undoes else one.kind
        shown.add_row(
            str(one.number),
            f"{one.created_at:%Y-%m-%d %H:%M}",
            f"{kind}, taken back by {one.undone_by}" if one.undone_by else kind,
            escape(f"{one.from_name} {one.from_version}"),
            escape(f"{one.name} {one.version}"),
            f"{one.outcome} of {one.day}" if one.outcome else "-",
            escape(one.approved_by),
            escape(one.reason),
        )
    return shown


def _champion(found: CurrentChampion | None) -> dict[str, Any] | None:
    return None if found is None else {key: value for key, value in asdict(found).items() if key != "model_id"}


def _shadow(name: str) -> DeploymentContext:
    return context_of(name)


def _print(content: str | Table) -> None:
    Console(width=None if sys.stdout.isatty() else 140, soft_wrap=isinstance(content, str)).print(content)


def _cut(digest: str | None) -> str:
    return digest[:_SHORT] if digest else "unknown"


def _iso(value: Any) -> str:
    return str(value.isoformat())
