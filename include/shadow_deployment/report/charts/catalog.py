"""All charts of a deployment's page, by the section that they stand in; what has nothing to show has none."""

from shadow_deployment.report.charts.chart import Chart
from shadow_deployment.report.charts.days import distances, labels, latency
from shadow_deployment.report.charts.decisions import matrices, threshold_sweep
from shadow_deployment.report.charts.drift import drift
from shadow_deployment.report.charts.history import noise, timeline
from shadow_deployment.report.charts.scores import distributions, quadrants, reliability
from shadow_deployment.report.charts.sequence import sequence
from shadow_deployment.report.charts.slices import slices
from shadow_deployment.report.views import DeploymentView

MOST_SEQUENCES = 4

Catalog = dict[str, list[Chart]]


def catalog(view: DeploymentView) -> Catalog:
    """Return the charts of each section, by the name of the field that they show."""
    scores, begun = view.scores, [each for each in view.sequences if each.days][:MOST_SEQUENCES]
    return {
        "sequences": [sequence(each, number) for number, each in enumerate(begun, 1)],
        "slices": [slices(view.slices, view.period)] if view.slices else [],
        "scores": [distributions(scores), *([reliability(scores)] if scores.labelled else [])] if scores else [],
        "decisions": _decisions(view),
        "quadrants": [quadrants(view.quadrants)] if view.quadrants else [],
        "drift": [drift(view.drift)] if view.drift else [],
        "labels": [labels(view.labels, view.period)] if view.labels else [],
        "latency": [latency(view.latency, view.period)] if view.latency and view.latency.days else [],
        "distances": distances(view.distances, view.period) if view.distances and view.distances.days else [],
        "noise": [noise(view.noise, view.period)] if view.noise and (view.noise.a_a_check or view.noise.others) else [],
        "history": [timeline(view.history, view.promotions, view.period)] if view.history or view.promotions else [],
    }


def _decisions(view: DeploymentView) -> list[Chart]:
    """Return what is decided at the threshold and at others, where the task has one and labels are there."""
    labelled = view.quadrants and any(row.labelled for row in view.quadrants.rows)
    matrix = [matrices(view.quadrants)] if view.quadrants and labelled else []
    scores = view.scores if view.scores and view.scores.unit == "probability" and view.scores.labelled else None
    return matrix + ([threshold_sweep(scores, view.threshold)] if scores and view.threshold is not None else [])
