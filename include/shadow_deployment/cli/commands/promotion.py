"""The registry's commands: promote, rollback, champion, promotions."""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape

from shadow_deployment.cli import console
from shadow_deployment.cli.console import AsJson, AsJsonLines, Name, short
from shadow_deployment.cli.context import context_of
from shadow_deployment.decision.words.finding import findings_of
from shadow_deployment.decision.words.wording import summary_of
from shadow_deployment.ledger.registry.promotions import CurrentChampion, PromotionRecord
from shadow_deployment.promotion import registry, status
from shadow_deployment.promotion.request import PromotionRequest
from shadow_deployment.report.terminal import Listing

Approver = Annotated[str, typer.Option("--approved-by", help="Who has decided: it is kept.")]
Reason = Annotated[str, typer.Option("--reason", help="Why: it is kept.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
_COLOURS = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "yellow"}


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
    context = context_of(name)
    request = registry.promotion_request(context, challenger)
    console.show(case_text(request))
    registry.require_promotable(context.deployment, request, force=force)
    console.confirm(f"{'Force' if force else 'Promote'} {request.challenger.name}", yes=yes)
    promotion = registry.promote(
        context, challenger, approved_by=approved_by, reason=reason, expected=request, force=force
    )
    status.update_quietly(context)
    console.show(f"{name}: the champion is {escape(str(promotion.champion))}")


def rollback(name: Name, approved_by: Approver, reason: Reason, yes: Yes = False) -> None:
    """Put the champion back that the newest promotion replaced; shows it and asks."""
    context = context_of(name)
    undone = registry.promotion_to_undo(context)
    console.show(
        f"{name}: takes back {escape(str(undone.champion))} ({escape(undone.reason)})\n"
        f"  champion again: {escape(undone.from_name)} {escape(undone.from_version)}, "
        f"digest {short(undone.from_digest)}"
    )
    console.confirm(f"Roll back to {undone.from_name} {undone.from_version}", yes=yes)
    promotion = registry.rollback(context, approved_by=approved_by, reason=reason, undoes=undone.number)
    status.update_quietly(context)
    console.show(f"{name}: the champion is {escape(str(promotion.champion))}")


def champion(
    name: Name,
    as_json: AsJson = False,
    publish: Annotated[bool, typer.Option("--publish", help="Write the manifest, and MLflow's alias, again.")] = False,
) -> None:
    """Show who is champion since when, and by whom."""
    context = context_of(name)
    written = registry.publish(context) if publish else None
    current = registry.champion(context)
    if as_json:
        console.print_json(_plain(current))
    elif current is None:
        console.show(f"{name}: nothing was promoted yet: the champion is what {context.deployment.requests.table} says")
    else:
        console.show(f"{name}: {escape(str(current))}, digest {short(current.digest)}")
    if publish and not as_json:
        nothing = "wrote nothing: there is no promotion, or neither promotion.manifest nor promotion.mlflow"
        console.show(f"wrote {escape(written)}" if written else nothing)


def promotions(name: Name, as_json: AsJsonLines = False) -> None:
    """Show every promotion and rollback, in order, with who approved it and why."""
    history = registry.history(context_of(name))
    if as_json:
        console.print_json_lines(map(asdict, history))
    else:
        console.show(history_table(history) if history else f"{name}: nothing was promoted yet")


def case_text(request: PromotionRequest) -> str:
    """Return a case for a terminal: who would follow whom, on which verdict, and what stands in the way."""
    model, verdict = request.challenger, request.verdict
    would = f"{escape(model.name)} {escape(model.version)}, digest {short(model.digest)}, would follow"
    lines = [f"[bold]{escape(request.deployment)}[/]: {would} {escape(str(request.champion))}"]
    if verdict:
        lines.append(
            f"[{_COLOURS[verdict.outcome]}]{verdict.outcome}[/] of {verdict.day} against "
            f"{escape(verdict.champion)}, on evidence {short(verdict.input_digest)}"
        )
        if request.tried:
            lines.append(f"{escape(str(request.tried))}; see shadow trials {request.deployment}")
        lines += [f"  {escape(summary_of(finding))}" for finding in findings_of(verdict.findings)]
    lines += [f"[bold red]in the way[/] {escape(problem)}" for problem in (*request.barred, *request.problems)]
    return "\n".join([*lines, f"case {short(request.digest)}"])


def history_table(history: list[PromotionRecord]) -> Listing:
    """Return promotions as a table."""
    headings = ("number", "at (UTC)", "kind", "from", "to", "verdict", "approved by", "reason")
    shown = Listing(*headings, prose=("kind", "from", "to", "verdict", "approved by", "reason"))
    for change in history:
        kind = f"{change.kind} of {change.undoes}" if change.undoes else change.kind
        shown.add_row(
            str(change.number),
            f"{change.created_at:%Y-%m-%d %H:%M}",
            f"{kind}, taken back by {change.undone_by}" if change.undone_by else kind,
            escape(f"{change.from_name} {change.from_version}"),
            escape(f"{change.name} {change.version}"),
            f"{change.outcome} of {change.day}" if change.outcome else "-",
            escape(change.approved_by),
            escape(change.reason),
        )
    return shown


def _plain(current: CurrentChampion | None) -> dict[str, Any] | None:
    return None if current is None else {key: value for key, value in asdict(current).items() if key != "model_id"}
