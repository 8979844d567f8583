"""The commands that look ahead on a deployment's own history: `plan` and `calibrate`."""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from shadow_deployment.base.extras import requires_extra
from shadow_deployment.cli.context import context_of
from shadow_deployment.config import discovery
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.policy import COMPARING
from shadow_deployment.data.db import Session
from shadow_deployment.data.storage import FolderStore
from shadow_deployment.decision.calibration import Calibration, calibrate
from shadow_deployment.decision.power import PowerAnalysis, power_analysis
from shadow_deployment.decision.series import Evidence
from shadow_deployment.errors import LedgerError
from shadow_deployment.ledger import calibrations, predictions, snapshots
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline.challengers.judging import champion_of, comparable_days, evidence_on

app = typer.Typer()
output = Console(width=None if sys.stdout.isatty() else 140)

Name = Annotated[str, typer.Argument(help="A deployment's name.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Who = Annotated[str | None, typer.Option("--challenger", help="One challenger; by default all that can be promoted.")]


@app.command("plan")
def plan_command(
    name: Name,
    effect: Annotated[float, typer.Option(help="How far beyond its bound the truth lies, in each rule's unit.")],
    challenger: Who = None,
    as_json: AsJson = False,
) -> None:
    """Show in how many days an effect would be decided, and what other sampling rates would change."""
    _require_positive(effect)
    deployment = discovery.find_deployment(name)
    plans: dict[str, list[PowerAnalysis]] = {}
    with context_of(deployment).ledger() as session:
        for one in _wanted(deployment, challenger):
            _, evidence = _history(session, deployment, one)
            plans[one.name] = [
                power_analysis(
                    evidence[rule.metric, ALL],
                    rule,
                    deployment.policy,
                    promotable=_promotable(deployment),
                    effect=effect,
                )
                for rule in deployment.policy.rules
                if rule.is_ in COMPARING and rule.is_ != "guardrail" and (rule.metric, ALL) in evidence
            ]
    if as_json:
        _print({who: [one.to_json() for one in found] for who, found in plans.items()})
        return
    for who, found in plans.items():
        output.print(f"[bold]{who}[/], an effect of {effect:g} at a rate of {deployment.sample.rate:g}")
        output.print(_plan_table(found, deployment.sample.rate))


@app.command("calibrate")
def calibrate_command(
    name: Name,
    challenger: Who = None,
    effect: Annotated[
        float | None, typer.Option(help="In standard deviations of a day; by default the effect that was seen.")
    ] = None,
    runs: Annotated[int, typer.Option(min=100, max=100_000, help="How many histories are drawn.")] = 2000,
    plot: Annotated[Path | None, typer.Option(help="Write the chart there, as SVG.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how often this policy, and two naive ones, would promote wrongly on this deployment's own days.

    A policy that errs more often than its alpha gets a warning in its verdicts from then on.
    """
    _require_positive(effect)
    deployment = discovery.find_deployment(name)
    results: dict[str, Calibration] = {}
    with context_of(deployment).ledger() as session:
        for one in _wanted(deployment, challenger):
            key, evidence = _history(session, deployment, one)
            found = calibrate(deployment.policy, evidence, promotable=_promotable(deployment), effect=effect, runs=runs)
            calibrations.store(session, deployment, key, found.warning, found.to_json())
            results[one.name] = found
    if plot is not None:
        _draw(plot, results)
    if as_json:
        _print({who: found.to_json() for who, found in results.items()})
        return
    for who, found in results.items():
        output.print(f"[bold]{who}[/]: {found.runs} histories of {found.days} days, from {found.history} days seen, ")
        output.print(f"in blocks of {found.block_length:.1f} days on average; alpha {found.alpha:g}")
        output.print(_calibration_table(found))
        for line in _notes(found):
            output.print(Padding(line, (0, 0, 0, 2)), markup=False)


def _require_positive(effect: float | None) -> None:
    if effect is not None and not (math.isfinite(effect) and effect > 0):
        raise typer.BadParameter(f"{effect}, must be a number above 0", param_hint="--effect")


def _wanted(deployment: Deployment, name: str | None) -> list[Challenger]:
    return [deployment.challenger(name)] if name else deployment.promotable


def _promotable(deployment: Deployment) -> int:
    return len(deployment.promotable)


def _history(session: Session[Any], deployment: Deployment, challenger: Challenger) -> tuple[int, Evidence]:
    """Return a challenger's key and all the evidence that a verdict of today would rest on."""
    taken = snapshots.snapshots(session, deployment, None, None)
    if not taken:
        raise LedgerError(f"deployment {deployment.name} has no day yet: run some first")
    key = predictions.challenger_id(session, deployment, challenger, model_digest(challenger))
    comparable = comparable_days(session, taken, key, champion_of(taken))
    return key, evidence_on(session, deployment, key, comparable, taken[-1].day)


def _plan_table(plans: list[PowerAnalysis], rate: float) -> Table:
    shown = Table(header_style="bold")
    for heading in ("rule", "days there", "days in all", "standard deviation of a day", "smallest rate as good"):
        shown.add_column(heading, justify="left" if heading == "rule" else "right")
    for one in plans:
        days = "never" if one.days is None else str(one.days)
        proposed = "-" if one.proposed is None else f"{min(one.proposed * rate, 1.0):.3g}"
        deviation = f"{(one.between + (one.within or 0.0)) ** 0.5:.4g}"
        shown.add_row(one.rule, str(one.seen), days, deviation, proposed)
    return shown


def _calibration_table(found: Calibration) -> Table:
    shown = Table(header_style="bold")
    for heading in ("policy", "promotes wrongly", "misses", "median day", "90 % by day"):
        shown.add_column(heading, justify="left" if heading == "policy" else "right", no_wrap=True)
    for row in found.rows:
        shares = (
            f"{row.false_promotion:.1%} ± {row.false_promotion_se:.1%}",
            f"{row.missed:.1%} ± {row.missed_se:.1%}",
        )
        days = ("never" if day is None else str(day) for day in (row.median_day, row.day_90))
        shown.add_row(row.policy, *shares, *days)
    return shown


def _notes(found: Calibration) -> Iterator[str]:
    if found.warning:
        yield f"warning: {found.warning}"
    for gate in found.gates:
        if gate.false_promotion is not None:
            share = f"{gate.false_promotion:.1%} ± {gate.false_promotion_se or 0.0:.1%}"
            yield f"{gate.rule} at its bound, the others as seen: promotes wrongly in {share}, misses {gate.missed:.1%}"
    for reason in found.left_out:
        yield f"left out: {reason}"


def _draw(path: Path, results: dict[str, Calibration]) -> None:
    with requires_extra("report", "--plot"):
        from shadow_deployment.report.charts.calibration import calibration_chart

    for who, found in results.items():
        target = path if len(results) == 1 else path.with_stem(f"{path.stem}-{who}")
        with FolderStore(target.parent.absolute()).writing(target.name) as file:
            file.write(calibration_chart(found).file().encode())


def _print(content: object) -> None:
    sys.stdout.write(json.dumps(content, indent=2, allow_nan=False) + "\n")
