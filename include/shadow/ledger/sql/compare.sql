-- A day's evidence for one challenger: champion, challenger and label of each request, scored by every metric, summed
-- over the pairs by slice. Running it again gives the same rows.
WITH answered AS (
    SELECT
        r.cell, r.champion_version, 1 / r.inclusion_probability AS weight,
        r.champion, p.value AS challenger, l.value AS label,
        r.champion_probabilities, p.probabilities AS challenger_probabilities
    FROM shadow.request AS r
    JOIN shadow.prediction AS p USING (day, snapshot_id, ordinal)
    LEFT JOIN shadow.label AS l
        ON l.day = r.day AND l.snapshot_id = r.snapshot_id AND l.ordinal = r.ordinal AND l.conflict IS NULL
    WHERE r.day = :'day' AND r.snapshot_id = :'snapshot' AND p.day = :'day' AND p.challenger_id = :'challenger'
    ORDER BY r.ordinal  -- sums of doubles depend on their order
),
clipped AS (
    SELECT
        *,
        -- greatest and least pass over nulls: what is missing must stay missing
        CASE WHEN champion IS NOT NULL
            THEN greatest(least(champion, 1 - 2.220446049250313e-16), 2.220446049250313e-16) END AS champion_clipped,
        CASE WHEN challenger IS NOT NULL
            THEN greatest(least(challenger, 1 - 2.220446049250313e-16), 2.220446049250313e-16) END AS challenger_clipped
    FROM answered
),
scored AS (
    SELECT
        a.cell, a.champion_version, a.weight, a.label, m.metric, m.champion, m.challenger,
        m.sign * (m.champion - m.challenger) AS difference,
        m.champion IS NOT NULL AND m.challenger IS NOT NULL AS is_pair,
        (a.champion, a.champion_probabilities) IS NOT DISTINCT FROM (a.challenger, a.challenger_probabilities)
            AS is_identical
    FROM clipped AS a
    CROSS JOIN LATERAL (
        VALUES
            ('binary', 'brier_score', 1, (a.champion - a.label) ^ 2, (a.challenger - a.label) ^ 2),
            (
                'binary', 'log_loss', 1,
                -(a.label * ln(a.champion_clipped) + (1 - a.label) * ln(1 - a.champion_clipped)),
                -(a.label * ln(a.challenger_clipped) + (1 - a.label) * ln(1 - a.challenger_clipped))
            ),
            (
                'binary', 'accuracy', -1,
                ((a.champion >= :'threshold'::float8) = (a.label = 1))::int,
                ((a.challenger >= :'threshold'::float8) = (a.label = 1))::int
            ),
            (
                'binary', 'certainly_wrong', 1,
                (a.champion IN (0, 1) AND a.champion <> a.label)::int,
                (a.challenger IN (0, 1) AND a.challenger <> a.label)::int
            ),
            (
                'multiclass', 'brier_score', 1,
                (
                    SELECT sum((u.p - (u.k - 1 = a.label)::int) ^ 2)
                    FROM unnest(a.champion_probabilities) WITH ORDINALITY AS u (p, k)
                ),
                (
                    SELECT sum((u.p - (u.k - 1 = a.label)::int) ^ 2)
                    FROM unnest(a.challenger_probabilities) WITH ORDINALITY AS u (p, k)
                )
            ),
            (
                'multiclass', 'log_loss', 1,
                -ln(greatest(least(a.champion_probabilities[a.label::int + 1], 1 - 2.220446049250313e-16),
                    2.220446049250313e-16)) + 0 * a.champion * a.label,
                -ln(greatest(least(a.challenger_probabilities[a.label::int + 1], 1 - 2.220446049250313e-16),
                    2.220446049250313e-16)) + 0 * a.challenger * a.label
            ),
            ('multiclass', 'accuracy', -1, (a.champion = a.label)::int, (a.challenger = a.label)::int),
            ('multiclass', 'agreement', -1, 1, (a.champion = a.challenger)::int),
            (
                'multiclass', 'disagreement', 1, 0,
                (
                    SELECT sum(abs(u.p - u.q)) / 2
                    FROM unnest(a.champion_probabilities, a.challenger_probabilities) AS u (p, q)
                )
            ),
            ('regression', 'squared_error', 1, (a.champion - a.label) ^ 2, (a.challenger - a.label) ^ 2),
            ('regression', 'absolute_error', 1, abs(a.champion - a.label), abs(a.challenger - a.label)),
            (
                'regression', 'pinball_loss', 1,
                greatest(:'quantile'::float8 * (a.label - a.champion), (:'quantile'::float8 - 1) * (a.label - a.champion)),
                greatest(:'quantile'::float8 * (a.label - a.challenger), (:'quantile'::float8 - 1) * (a.label - a.challenger))
            ),
            ('regression', 'bias', 1, a.champion - a.label, a.challenger - a.label),
            ('any', 'error_rate', 1, (a.champion IS NULL)::int, (a.challenger IS NULL)::int),
            (
                'binary', 'agreement', -1, 1,
                ((a.champion >= :'threshold'::float8) = (a.challenger >= :'threshold'::float8))::int
            ),
            ('regression', 'agreement', -1, 1, (abs(a.champion - a.challenger) <= :'tolerance'::float8)::int),
            ('binary', 'disagreement', 1, 0, abs(a.champion - a.challenger)),
            ('regression', 'disagreement', 1, 0, abs(a.champion - a.challenger)),
            ('any', 'pairing_loss', 1, 0, (a.champion IS NULL OR a.challenger IS NULL)::int),
            (
                'any', 'answer_labelled', 1, CASE WHEN a.label IS NOT NULL THEN a.champion END,
                CASE WHEN a.label IS NOT NULL THEN a.challenger END
            ),
            (
                'any', 'answer_unlabelled', 1, CASE WHEN a.label IS NULL THEN a.champion END,
                CASE WHEN a.label IS NULL THEN a.challenger END
            ),
            ('any', 'label_coverage', -1, (a.label IS NOT NULL)::int, (a.label IS NOT NULL)::int)
    ) AS m (task, metric, sign, champion, challenger)
    WHERE m.task IN (:'task', 'any') AND m.metric = ANY(:'metrics'::text[])
),
cells AS (
    SELECT
        cell, champion_version, metric,
        count(*) AS requests,
        count(label) AS labelled,
        count(*) FILTER (WHERE is_pair) AS pairs,
        count(*) FILTER (WHERE is_pair AND is_identical) AS identical,
        sum(weight) FILTER (WHERE is_pair) AS weight,
        sum(weight ^ 2) FILTER (WHERE is_pair) AS weight_squares,
        sum(weight * champion) FILTER (WHERE is_pair) AS champion_sum,
        sum(weight * champion ^ 2) FILTER (WHERE is_pair) AS champion_squares,
        sum(weight * challenger) FILTER (WHERE is_pair) AS challenger_sum,
        sum(weight * challenger ^ 2) FILTER (WHERE is_pair) AS challenger_squares,
        sum(weight * difference) AS difference_sum,
        sum(weight * difference ^ 2) AS difference_squares,
        sum(weight ^ 2 * difference) AS difference_sum_weighted,
        sum(weight ^ 2 * difference ^ 2) AS difference_squares_weighted
    FROM scored
    GROUP BY cell, champion_version, metric
),
sliced AS (
    SELECT s.slice_column, s.slice_value, c.*
    FROM (SELECT * FROM cells ORDER BY cell) AS c
    JOIN shadow.cell AS named ON named.snapshot_id = :'snapshot' AND named.cell = c.cell
    CROSS JOIN LATERAL (
        SELECT 'all' AS slice_column, '' AS slice_value
        UNION ALL
        SELECT key, value FROM jsonb_each_text(named.slices)
    ) AS s
)
INSERT INTO shadow.evidence AS e (
    deployment_id, day, snapshot_id, challenger_id, champion_version, slice_column, slice_value, metric,
    requests, labelled, pairs, identical, weight, weight_squares, champion_sum, champion_squares,
    challenger_sum, challenger_squares, difference_sum, difference_squares,
    difference_sum_weighted, difference_squares_weighted
)
SELECT
    :'deployment', :'day', :'snapshot', :'challenger', champion_version, slice_column, slice_value, metric,
    sum(requests), sum(labelled), sum(pairs), sum(identical),
    coalesce(sum(weight), 0), coalesce(sum(weight_squares), 0),
    coalesce(sum(champion_sum), 0), coalesce(sum(champion_squares), 0),
    coalesce(sum(challenger_sum), 0), coalesce(sum(challenger_squares), 0),
    coalesce(sum(difference_sum), 0), coalesce(sum(difference_squares), 0),
    coalesce(sum(difference_sum_weighted), 0), coalesce(sum(difference_squares_weighted), 0)
FROM sliced
GROUP BY champion_version, slice_column, slice_value, metric
ON CONFLICT (snapshot_id, challenger_id, champion_version, slice_column, slice_value, metric) DO UPDATE SET
    requests = excluded.requests, labelled = excluded.labelled, pairs = excluded.pairs,
    identical = excluded.identical, weight = excluded.weight, weight_squares = excluded.weight_squares,
    champion_sum = excluded.champion_sum, champion_squares = excluded.champion_squares,
    challenger_sum = excluded.challenger_sum, challenger_squares = excluded.challenger_squares,
    difference_sum = excluded.difference_sum, difference_squares = excluded.difference_squares,
    difference_sum_weighted = excluded.difference_sum_weighted,
    difference_squares_weighted = excluded.difference_squares_weighted, computed_at = excluded.computed_at
WHERE (
    e.requests, e.labelled, e.pairs, e.identical, e.weight, e.weight_squares, e.champion_sum, e.champion_squares,
    e.challenger_sum, e.challenger_squares, e.difference_sum, e.difference_squares, e.difference_sum_weighted,
    e.difference_squares_weighted
) IS DISTINCT FROM (
    excluded.requests, excluded.labelled, excluded.pairs, excluded.identical, excluded.weight,
    excluded.weight_squares, excluded.champion_sum, excluded.champion_squares, excluded.challenger_sum,
    excluded.challenger_squares, excluded.difference_sum, excluded.difference_squares,
    excluded.difference_sum_weighted, excluded.difference_squares_weighted
)
