"""A ledger of a synthetic year, written straight into its tables: for measuring, and for what needs many days."""

import json
from dataclasses import asdict
from typing import Any

import psycopg

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.sampling import design, digest
from shadow_deployment.decision.alpha import alpha_of_trial
from shadow_deployment.decision.series import gather
from shadow_deployment.decision.verdict import judge
from shadow_deployment.ledger import evidence as ledger_evidence
from shadow_deployment.ledger import series, snapshots
from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.metrics.possible_gains import has_range
from shadow_deployment.models.loading import model_digest

EFFECTS = {"better": 0.004, "worse": -0.004, "equal": 0.0}
PER_DAY = 60

SNAPSHOTS = """
WITH d AS (
    INSERT INTO shadow.sampled_day (deployment_id, day, design, window_start, window_end, location, source)
    SELECT %(deployment)s, %(first)s::date + n, %(design)s, (%(first)s::date + n)::timestamp AT TIME ZONE 'UTC',
        (%(first)s::date + n + 1)::timestamp AT TIME ZONE 'UTC', 'day-' || n, 'production.log'
    FROM generate_series(0, %(days)s - 1) AS n
    ORDER BY n
    RETURNING id, window_start, window_end
)
INSERT INTO shadow.sampled_window (snapshot_id, number, window_start, window_end, population, first_ordinal, rows,
    first_shard, shards, digest, champion_versions)
SELECT id, 1, window_start, window_end, 10 * %(rows)s, 0, %(rows)s, 0, 1, 'digest ' || id, '{7}' FROM d
"""
COLLECTIONS = """
INSERT INTO shadow.label_collection (snapshot_id, collection, labels_until, arrival, labelled, contradicted, invalid,
    early, complete_at)
SELECT id, 1, least(window_end + interval '3 days', max(window_end) OVER ()), 1, rows, 0, 0, 0, window_end
FROM shadow.snapshot WHERE deployment_id = %(deployment)s
"""
CELLS = """
INSERT INTO shadow.cell (snapshot_id, cell, slices)
SELECT s.id, c, jsonb_build_object(%(column)s::text, 'c' || c)
FROM shadow.snapshot AS s CROSS JOIN generate_series(0, %(slices)s - 1) AS c WHERE s.deployment_id = %(deployment)s
"""
VALIDATIONS = """
INSERT INTO shadow.validation (snapshot_id, challenger_id, revision, digest, success, suite, evaluated, failures)
SELECT s.id, m, 1, '', true, 'suite', 10, '[]'
FROM shadow.snapshot AS s CROSS JOIN unnest(%(models)s::int[] || NULL::int) AS m
WHERE s.deployment_id = %(deployment)s
"""
COMPARISONS = """
INSERT INTO shadow.comparison (snapshot_id, challenger_id, label_revision, is_final, method_digest, compared_at)
SELECT s.id, m, 1, true, %(method_digest)s, 'infinity' -- after every trial was opened
FROM shadow.snapshot AS s CROSS JOIN unnest(%(models)s::int[]) AS m WHERE s.deployment_id = %(deployment)s
"""
# A day's difference is the effect plus noise that all slices of the day share, and noise of the slice. Metrics and
# slices are in the same order on each day, as those that are entered by `compare` are.
EVIDENCE = """
INSERT INTO shadow.evidence_batch (deployment_id, day, snapshot_id, challenger_id, champion_version, needs_labels,
    revision, digest, slice_columns, slice_values, metrics, requests, labelled, pairs, identical, unanswered,
    champion_missing, weight, weight_squares, champion_sum, champion_squares, challenger_sum, challenger_squares,
    difference_sum, difference_squares, difference_sum_weighted, difference_squares_weighted, unlabelled_weight,
    unlabelled_least, unlabelled_most)
WITH cell AS MATERIALIZED (
    SELECT s.deployment_id, s.day, s.id, e.slice_column, e.slice_value, m.metric, e.n, v.champion, v.difference
    FROM (
        SELECT *, random_normal() * 0.02 AS luck FROM shadow.snapshot WHERE deployment_id = %(deployment)s ORDER BY day
    ) AS s
    CROSS JOIN unnest(%(metrics)s::text[]) AS m (metric)
    CROSS JOIN (
        SELECT 'all' AS slice_column, '' AS slice_value, %(rows)s AS n, 0.0 AS own
        UNION ALL
        SELECT %(column)s, 'c' || c, greatest(%(rows)s / %(slices)s, 1), (c - %(slices)s / 2) * 0.0004
        FROM generate_series(0, %(slices)s - 1) AS c
    ) AS e
    CROSS JOIN LATERAL (
        SELECT 0.2 + s.luck AS champion, %(effect)s + e.own + s.luck * 0.3 + random_normal() * 0.01 AS difference
    ) AS v
),
line AS (
    SELECT deployment_id, day, id, metric, array_agg(slice_column) AS columns, array_agg(slice_value) AS values,
        array_agg(n) AS n, array_agg(0) AS none, array_agg(10.0 * n) AS w, array_agg(100.0 * n) AS ww,
        array_agg(champion * 10 * n) AS c, array_agg(0.0) AS nothing, array_agg((champion - difference) * 10 * n) AS h,
        array_agg(difference * 10 * n) AS d, array_agg(difference ^ 2 * 10 * n + 0.1 * n) AS dd,
        array_agg(difference * 100 * n) AS wd, array_agg(difference ^ 2 * 100 * n + n) AS wdd,
        array_agg(CASE WHEN metric = ANY(%(ranged_metrics)s) THEN %(unlabelled)s * 10 * n ELSE 0 END) AS u
    FROM (SELECT * FROM cell ORDER BY day, metric, slice_column <> 'all', slice_value COLLATE "C") AS cell
    GROUP BY deployment_id, day, id, metric
)
SELECT deployment_id, day, id, %(model)s, '7', needs_labels, 1, '', columns, values,
    array_agg(metric ORDER BY metric), array_agg(n ORDER BY metric), array_agg(n ORDER BY metric),
    array_agg(n ORDER BY metric), array_agg(none ORDER BY metric), array_agg(none ORDER BY metric),
    array_agg(none ORDER BY metric), array_agg(w ORDER BY metric), array_agg(ww ORDER BY metric),
    array_agg(c ORDER BY metric), array_agg(nothing ORDER BY metric), array_agg(h ORDER BY metric),
    array_agg(nothing ORDER BY metric), array_agg(d ORDER BY metric), array_agg(dd ORDER BY metric),
    array_agg(wd ORDER BY metric), array_agg(wdd ORDER BY metric), array_agg(u ORDER BY metric),
    array_agg(least ORDER BY metric), array_agg(most ORDER BY metric)
FROM (
    SELECT *, metric = ANY(%(labelled_metrics)s) AS needs_labels, ARRAY(SELECT -0.2 * x FROM unnest(u) AS x) AS least,
        ARRAY(SELECT 0.2 * x FROM unnest(u) AS x) AS most
    FROM line
) AS line
GROUP BY deployment_id, day, id, columns, values, needs_labels
ORDER BY day
"""
BINS = """
INSERT INTO shadow.score_bin (challenger_id, snapshot_id, champion_version, model, width, bin, requests, weight,
    prediction_sum, labelled, labelled_weight, labelled_weight_squares, labelled_prediction_sum, label_sum,
    label_squares)
SELECT m, s.id, '7', b.model, 0.05, b.bin, 50, 500, 500 * (b.bin + 0.5) / 20, 50, 500, 5000, 500 * (b.bin + 0.5) / 20,
    500 * (b.bin + 0.5) / 20, 500 * (b.bin + 0.5) / 20
FROM shadow.snapshot AS s CROSS JOIN unnest(%(models)s::int[]) AS m
CROSS JOIN (SELECT * FROM unnest(ARRAY['champion', 'challenger']) AS a (model), generate_series(0, 19) AS g (bin)) AS b
WHERE s.deployment_id = %(deployment)s
"""
QUADRANTS = """
INSERT INTO shadow.quadrant (challenger_id, snapshot_id, champion_version, champion_yes, challenger_yes, threshold,
    requests, weight, labelled, positive, labelled_weight, positive_weight)
SELECT m, s.id, '7', a, b, 0.5, 250, 2500, 200, 120, 2000, 1200
FROM shadow.snapshot AS s CROSS JOIN unnest(%(models)s::int[]) AS m
CROSS JOIN unnest(ARRAY[true, false]) AS a CROSS JOIN unnest(ARRAY[true, false]) AS b
WHERE s.deployment_id = %(deployment)s
"""
REQUESTS = """
INSERT INTO shadow.request_batch (day, snapshot_id, first_ordinal, rows, request_id, requested_at,
    inclusion_probability, cell, champion, champion_version, champion_latency_ms)
SELECT s.day, s.id, 0, %(rows)s, array_agg('r' || s.id || '-' || o ORDER BY o), array_agg(s.window_start),
    array_agg(0.1::float8), array_agg(o %% %(slices)s ORDER BY o), array_agg(0.5::float8), array_agg(1),
    array_agg(5::float8)
FROM shadow.snapshot AS s CROSS JOIN generate_series(0, %(rows)s - 1) AS o WHERE s.deployment_id = %(deployment)s
GROUP BY s.day, s.id
"""
PREDICTIONS = """
INSERT INTO shadow.prediction_batch (day, snapshot_id, challenger_id, first_ordinal, rows, value, latency_ms)
SELECT s.day, s.id, m, 0, %(rows)s, a.value, array_fill(5::float8, ARRAY[%(rows)s])
FROM shadow.snapshot AS s CROSS JOIN unnest(%(models)s::int[]) AS m CROSS JOIN (
    SELECT array_agg((o %% 100) / 100.0::float8 ORDER BY o) AS value FROM generate_series(0, %(rows)s - 1) AS o
) AS a
WHERE s.deployment_id = %(deployment)s
"""
DISAGREEMENTS = """
INSERT INTO shadow.disagreement (challenger_id, snapshot_id, rank, ordinal, distance)
SELECT m, s.id, p, p, 0.5 - p * 0.01
FROM shadow.snapshot AS s CROSS JOIN generate_series(1, 20) AS p CROSS JOIN unnest(%(models)s::int[]) AS m
WHERE s.deployment_id = %(deployment)s
"""
VERDICTS = """
INSERT INTO shadow.verdict (deployment_id, day, challenger_id, champion_version, design, days, outcome, reasons,
    warnings, findings, blocked, alpha, counted_evidence, shown_evidence, policy, explanation,
    input_digest, code_version, revision)
SELECT %(deployment)s, s.day, %(model)s, '7', %(design)s, '{}', %(outcome)s, %(reasons)s, '[]', %(findings)s,
    '[]', 0.05, '{}', '{}', %(policy)s, repeat('explained ', 500), 'input ' || s.day, '0.1.0', 1
FROM shadow.snapshot AS s WHERE s.deployment_id = %(deployment)s ORDER BY s.day
"""
PER_MODEL = (BINS, QUADRANTS, REQUESTS, PREDICTIONS, DISAGREEMENTS)


def fill(
    session: "psycopg.Connection[Any]",
    deployment: Deployment,
    *,
    days: int,
    slices: int,
    seed: float = 0.5,
    judged: bool = True,
    unlabelled: float = 0.0,
) -> None:
    """Write a year of a deployment that declares one slice column, and its verdicts of every day. Commits.

    A challenger's effect is that of the first word of its name in EFFECTS; the A/A check's is 0. Where it is not to be
    `judged`, there are no verdicts. For each labelled request there are so many `unlabelled` ones, which gain or lose
    at most 0.2 each.
    """
    values = _enter(session, deployment, days=days, slices=slices) | {"unlabelled": unlabelled}
    session.execute("SELECT setseed(%s)", [seed])
    for statement in (SNAPSHOTS, COLLECTIONS, CELLS, VALIDATIONS, COMPARISONS):
        session.execute(statement, values)
    session.execute("SELECT shadow.ensure_partitions(day) FROM shadow.snapshot")
    for name, model in values["by_name"].items():
        effect = EFFECTS.get(name.split("_")[0], 0.0)
        session.execute(EVIDENCE, {**values, "model": model, "effect": effect})
    for statement in PER_MODEL:
        session.execute(statement, values)
    session.commit()
    session.execute("ANALYZE")
    for name, model in values["by_name"].items() if judged else ():
        _judge(session, deployment, values, name, model)
    session.commit()


def _enter(session: "psycopg.Connection[Any]", deployment: Deployment, *, days: int, slices: int) -> dict[str, Any]:
    key = snapshots.deployment_id(session, deployment)
    by_name = {}
    for one in deployment.challengers:
        row = session.execute(
            "INSERT INTO shadow.model_version (deployment_id, name, version, uri, digest) VALUES (%s, %s, %s, %s, %s) "
            "RETURNING id",
            [key, one.name, one.version, one.model, model_digest(one)],
        ).fetchone()
        assert row is not None
        by_name[one.name] = int(row[0])
    return {
        "deployment": key,
        "first": deployment.start,
        "days": days,
        "slices": slices,
        "column": deployment.slices[0],
        "rows": PER_DAY,
        "design": digest(design(deployment)),
        "metrics": deployment.tracked,
        "ranged_metrics": [name for name in METRICS if has_range(METRICS[name], deployment.task)],
        "labelled_metrics": [name for name in deployment.tracked if METRICS[name].needs_label],
        "method_digest": ledger_evidence.statement_digest(deployment),
        "models": list(by_name.values()),
        "by_name": by_name,
    }


def _judge(
    session: "psycopg.Connection[Any]", deployment: Deployment, values: dict[str, Any], name: str, model: int
) -> None:
    taken = snapshots.snapshots(session, deployment, None, None)
    rows = series.newest(session, model, taken, {one.day: True for one in taken})
    found = gather(series.read(session, rows, metrics=deployment.tracked, squares=True))
    alpha = alpha_of_trial(deployment.policy.alpha, place=1, size=len(deployment.promotable))
    verdict = judge(deployment.policy, found, alpha=alpha)
    findings = [{("is" if k == "is_" else k): v for k, v in asdict(one).items()} for one in verdict.findings]
    session.execute(
        VERDICTS,
        {
            **values,
            "model": model,
            "outcome": "INCONCLUSIVE" if deployment.challenger(name).is_a_a_check else verdict.outcome,
            "reasons": json.dumps(list(verdict.reasons)),
            "findings": json.dumps(findings, default=str),
            "policy": deployment.policy.model_dump_json(by_alias=True),
        },
    )
