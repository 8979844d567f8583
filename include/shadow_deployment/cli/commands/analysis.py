"""The commands that look ahead on a deployment's own history: `plan` and `calibrate`."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from shadow_deployment.base.extras import requires_extra
from shadow_deployment.base.numbers import significant
from shadow_deployment.cli import console
from shadow_deployment.cli.commands.page import write_file
from shadow_deployment.cli.console import AsJson, Name
from shadow_deployment.cli.context import context_of
from shadow_deployment.decision import calibration
from shadow_deployment.decision.calibration import Calibration
from shadow_deployment.decision.power import PowerAnalysis
from shadow_deployment.ledger import trials
from shadow_deployment.ledger.checks import calibrations
from shadow_deployment.pipeline.history import planning
from shadow_deployment.report.terminal import Listing, Prose

_NINE_TENTHS = "90\N{NO-BREAK SPACE}% by"
_PLAN_LEGEND = (
    "[dim]days there: evidence so far. half pass by, 90\N{NO-BREAK SPACE}% by: the day by which half, and nine tenths, "
    "of such histories pass. by unit ...: half of them, under that policy.unit. deviation: standard deviation. "
    "smallest rate: of sampling, that takes at most a tenth longer.[/]"
)
_NOT_APPLICABLE = "not applicable"
_CALIBRATION_LEGEND = (
    "[dim]promotes wrongly: histories in which a challenger that is no better passes on some day. misses: those in "
    "which one that is better never passes. median day, 90\N{NO-BREAK SPACE}% by: when half, and nine tenths, of the "
    "better ones have passed; not applicable where the effect seen is no better than a rule's bound: --effect gives "
    "another. ±: one standard error.[/]"
)
Who = Annotated[str | None, typer.Option("--challenger", help="One challenger; by default all that can be promoted.")]


def plan(
    name: Name,
    effect: Annotated[float, typer.Option(help="How far beyond its bound the truth lies, in each rule's unit.")],
    challenger: Who = None,
    as_json: AsJson = False,
) -> None:
    """Show in how many days an effect would be decided, and what other sampling rates would change."""
    _require_positive(effect)
    context = context_of(name)
    with context.ledger() as session:
        next_alpha = trials.alpha_of_next(session, context.deployment)
        plans = planning.plans(session, context.deployment, effect, challenger)
    if as_json:
        shown = {"next_alpha": next_alpha}
        console.print_json({who: [rule.to_json() | shown for rule in rules] for who, rules in plans.items()})
        return
    for who, rules in plans.items():
        at = f"at alpha {significant(rules[0].alpha if rules else None, 3)}"
        console.show(f"[bold]{who}[/]: days until an effect of {effect:g} beyond the bound passes, {at}")
        console.show(_plan_table(rules, context.deployment.sample.rate))
    console.show(_PLAN_LEGEND)
    console.show(f"the next trial, of one challenger alone, would have alpha {significant(next_alpha, 3)}")


def calibrate(
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
    context = context_of(name)
    policy = context.deployment.policy
    results: dict[str, Calibration] = {}
    with context.ledger() as session:
        for model, key, alpha, evidence in planning.histories(session, context.deployment, challenger):
            result = calibration.calibrate(policy, evidence, alpha=alpha, effect=effect, runs=runs)
            if key is not None:
                calibrations.store(session, context.deployment, key, result.warning, result.to_json())
            results[model.name] = result
    if plot is not None:
        _draw(plot, results)
    if as_json:
        console.print_json({who: result.to_json() for who, result in results.items()})
        return
    for who, result in results.items():
        console.show(
            f"[bold]{who}[/]: {result.runs} histories of {result.days} days, from {result.history} days seen, "
            f"in blocks of {result.block_length:.1f} days on average; alpha {significant(result.alpha, 3)}"
        )
        console.show(_calibration_table(result))
        for line in _notes(result):
            console.show(Prose(escape(line), indent=2))
    console.show(_CALIBRATION_LEGEND)


def _require_positive(effect: float | None) -> None:
    if effect is not None and not (math.isfinite(effect) and effect > 0):
        raise typer.BadParameter(f"{effect}, must be a number above 0", param_hint="--effect")


def _plan_table(plans: list[PowerAnalysis], rate: float) -> Listing:
    other = plans[0].other_unit if plans else "week"
    numbers = ("days there", "half pass by", _NINE_TENTHS, f"by unit {other}", "deviation of a day", "smallest rate")
    shown = Listing("rule", *numbers, prose=("rule",), right=numbers)
    for rule in plans:
        days = ["never" if day is None else str(day) for day in (rule.days, rule.days_90, rule.other_days)]
        proposed = "-" if rule.proposed is None else f"{min(rule.proposed * rate, 1.0):.3g}"
        deviation = f"{(rule.between + (rule.within or 0.0)) ** 0.5:.4g}"
        shown.add_row(escape(rule.rule), str(rule.seen), *days, deviation, proposed)
    return shown


def _calibration_table(result: Calibration) -> Listing:
    numbers = ("promotes wrongly", "misses", "median day", _NINE_TENTHS)
    shown = Listing("policy", *numbers, right=numbers)
    for row in result.rows:
        wrongly = f"{row.false_promotion:.1%} ± {row.false_promotion_se:.1%}"
        if row.missed is None:
            shown.add_row(row.policy, wrongly, *[_NOT_APPLICABLE] * 3)
            continue
        days = ("never" if day is None else str(day) for day in (row.median_day, row.day_90))
        shown.add_row(row.policy, wrongly, f"{row.missed:.1%} ± {row.missed_se or 0.0:.1%}", *days)
    return shown


def _notes(result: Calibration) -> Iterator[str]:
    if result.warning:
        yield f"warning: {result.warning}"
    yield from result.advice
    if result.autoregressive is not None:
        share = f"{result.autoregressive:.1%}"
        yield f"days drawn from an autoregression, since this history is short for blocks: promotes wrongly in {share}"
    limit = f"{result.upper_limit:.1%}"
    yield f"dependence that {result.history} days do not exclude (90 %): promotes wrongly in up to {limit}"
    for gate in result.gates:
        if gate.false_promotion is not None:
            share = f"{gate.false_promotion:.1%} ± {gate.false_promotion_se or 0.0:.1%}"
            misses = _NOT_APPLICABLE if gate.missed is None else f"{gate.missed:.1%}"
            yield f"{gate.rule} at its bound, the others as seen: promotes wrongly in {share}, misses {misses}"
    for reason in result.left_out:
        yield f"left out: {reason}"


def _draw(path: Path, results: dict[str, Calibration]) -> None:
    with requires_extra("report", "--plot"):
        from shadow_deployment.report.charts.calibration import calibration_chart

    for who, result in results.items():
        target = path if len(results) == 1 else path.with_stem(f"{path.stem}-{who}")
        write_file(target, calibration_chart(result).file().encode())
