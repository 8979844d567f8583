"""All charts of a deployment's page, by the section that they stand in; what has nothing to show has none."""

from shadow_deployment.report.charts.chart import Chart
from shadow_deployment.report.charts.days import drift, labels, latency
from shadow_deployment.report.charts.history import noise, timeline
from shadow_deployment.report.charts.rules import rules
from shadow_deployment.report.charts.scores import distributions, quadrants, reliability
from shadow_deployment.report.charts.sequence import sequence
from shadow_deployment.report.charts.slices import slices
from shadow_deployment.report.views.facts import DeploymentFacts

MOST_SEQUENCES = 4

Catalog = dict[str, list[Chart]]


def catalog(facts: DeploymentFacts) -> Catalog:
    """Return the charts of each section, by the name of the field that they show."""
    scores, begun = facts.scores, [each for each in facts.sequences if each.days][:MOST_SEQUENCES]
    return {
        "rules": [rules(facts.rules)] if facts.rules else [],
        "sequences": [sequence(each, number) for number, each in enumerate(begun, 1)],
        "slices": [slices(facts.slices)] if facts.slices and facts.slices.slices else [],
        "scores": [distributions(scores), *([reliability(scores)] if scores.labelled else [])] if scores else [],
        "quadrants": [quadrants(facts.quadrants)] if facts.quadrants else [],
        "labels": [labels(facts.labels)] if facts.labels else [],
        "latency": [latency(facts.latency)] if facts.latency and facts.latency.days else [],
        "drift": drift(facts.drift) if facts.drift and facts.drift.days else [],
        "noise": [noise(facts.noise)] if facts.noise and (facts.noise.a_a_check or facts.noise.others) else [],
        "history": [timeline(facts.history, facts.promotions)] if facts.history or facts.promotions else [],
    }
