"""The command `preview`: what a deployment would do, before there is a ledger."""

import datetime as dt
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.markup import escape

from shadow_deployment.base.numbers import quantity, significant
from shadow_deployment.cli import console
from shadow_deployment.cli.console import AsJson, Name
from shadow_deployment.cli.context import context_of
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.fields import in_words
from shadow_deployment.onboarding.preview import words
from shadow_deployment.onboarding.preview.horizon import DEFAULT_GAIN
from shadow_deployment.onboarding.preview.preview import Preview
from shadow_deployment.onboarding.preview.preview import preview as look
from shadow_deployment.report.terminal import Listing

Day = Annotated[
    dt.date | None,
    typer.Option("--day", parser=console.parse_day, metavar="YYYY-MM-DD", help="By default the newest with labels."),
]


def preview(
    name: Name,
    day: Day = None,
    gain: Annotated[
        float, typer.Option(min=0.0001, max=1, help="By which share of the champion's loss a challenger may be better.")
    ] = DEFAULT_GAIN,
    as_json: AsJson = False,
) -> None:
    """Show what a deployment would do: requests, labels, predictions, days to a verdict, cost.

    It reads a few requests of up to ten past days, writes nothing, and needs no
    ledger. Exit code 1 where a challenger cannot be scored.
    """
    context = context_of(name)
    shown = look(context, day=day, gain=gain)
    if as_json:
        console.print_json(shown.to_json())
    else:
        _show(shown, context.deployment)
    if shown.unscored:
        raise typer.Exit(1)


def _show(shown: Preview, deployment: Deployment) -> None:
    console.show(f"[bold]{shown.deployment}[/]: what a run of {shown.day} would do")
    console.show(_facts(shown, deployment))
    console.show(f"[bold]{len(shown.rows)} requests[/] of {shown.day}")
    console.show(_rows(shown))
    for name, problem in shown.problems.items():
        console.warning(f"challenger {name}: {problem}")
    console.show("[bold]Days to a verdict[/]")
    console.show(_horizons(shown))
    console.show(
        f"[dim]half pass by: evidence of so many days decides half of the histories in which the challenger is as "
        f"supposed. It rests on {quantity(shown.days, shown.period)} up to {shown.day}; shadow plan says more once "
        "there is evidence.[/]"
    )
    next_ = f"shadow migrate[/], then [bold]shadow run {shown.deployment} --from {deployment.start} --to {shown.log_to}"
    console.show(f"next: [bold]{'correct what cannot be scored' if shown.unscored else next_}[/]")


def _facts(shown: Preview, deployment: Deployment) -> Listing:
    listing = Listing("what", "found", prose=("found",))
    strata = f" in {shown.strata} strata" if shown.strata > 1 else ""
    listing.add_row("log", f"from {shown.log_from} to {shown.log_to}")
    on = "on" if shown.period == "day" else "in the week from"
    listing.add_row("requests", f"{shown.requests:,} {on} {shown.day}")
    listing.add_row("sample", f"{shown.sampled:,} of them{strata}, at rate {deployment.sample.rate:g}")
    listing.add_row("labels", words.arrival(shown.labels))
    for challenger in deployment.promotable:
        listing.add_row(f"verdict {challenger.name}", escape(words.verdict_days(shown, challenger.name)))
    requests, labels = shown.access["requests"], shown.access["labels"]
    listing.add_row("reads requests", escape(words.requests_access(requests, deployment.requests.time)))
    listing.add_row("reads labels", escape(words.labels_access(labels, in_words(deployment.labels.id))))
    listing.add_row(f"costs a {shown.period}", escape("; ".join(_cost(shown))))
    return listing


def _cost(shown: Preview) -> Iterator[str]:
    cost = shown.cost
    yield f"{cost.reading_seconds:.2g} s to count and draw a few requests"
    for name, seconds in cost.scoring_seconds.items():
        if name in cost.calls:
            yield f"{cost.calls[name]:,} calls of {name}, {seconds:.2g} s"
        elif seconds >= 0.1:
            yield f"{seconds:.2g} s to score {name}"
    yield f"{words.in_bytes(cost.snapshot_bytes)} of snapshots, {cost.ledger_rows:,} rows in the ledger"


def _rows(shown: Preview) -> Listing:
    names = list(shown.rows[0].challengers) if shown.rows else []
    headings = ("label", "champion", *names)
    listing = Listing("request", *headings, right=() if shown.task == "multiclass" else headings)
    for row in shown.rows:
        values = (row.label, row.champion, *row.challengers.values())
        listing.add_row(escape(row.request_id), *map(_value, values))
    return listing


def _value(value: float | str | None) -> str:
    return escape(value) if isinstance(value, str) else significant(value, 4, none="none")


def _horizons(shown: Preview) -> Listing:
    prose = ("if it is", "by the variance of")
    listing = Listing("challenger", "rule", "half pass by", *prose, prose=prose)
    for each in shown.horizons:
        days = "not known" if each.reason else "never" if each.days is None else f"{each.days} days"
        listing.add_row(each.challenger, each.rule, days, each.effect or "-", escape(each.reason or each.basis))
    return listing
