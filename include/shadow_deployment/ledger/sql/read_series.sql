-- Evidence by the keys of its rows, in no order. Of the arrays by metric and slice, `cut` takes the range from the
-- first to the last metric that is wanted, in all slices or only the first, which is all requests. The server cuts element
-- by element, which costs more than it saves where most elements are wanted: the arrays are then `whole`. The number of
-- identical predictions is read for all requests only, the number of requests only where a metric has none in a slice, and missing
-- predictions and labels only where there are any.
SELECT
    b.day - '2000-01-01'::date AS day,
    array_to_json(b.metrics[w.first:w.last])::text AS metrics,
    array_to_json(b.slice_columns[1:w.slices])::text AS slice_columns,
    array_to_json(b.slice_values[1:w.slices])::text AS slice_values,
    CASE WHEN 0 = ANY (b.requests) THEN (b.requests):cut END AS requests,
    CASE WHEN 0 < ANY (b.unanswered) THEN (b.unanswered):cut END AS unanswered,
    CASE WHEN 0 < ANY (b.champion_missing) THEN (b.champion_missing):cut END AS champion_missing,
    (b.pairs):cut AS pairs,
    (b.identical)[w.first:w.last][1:1] AS identical,
    (b.weight):cut AS weight,
    (b.champion_sum):cut AS champion_sum,
    (b.challenger_sum):cut AS challenger_sum,
    (b.difference_sum):cut AS difference_sum,
    CASE WHEN 0 < ANY (b.unlabelled_weight) THEN (b.unlabelled_weight):cut END AS unlabelled_weight,
    CASE WHEN 0 < ANY (b.unlabelled_weight) THEN (b.unlabelled_least):cut END AS unlabelled_least,
    CASE WHEN 0 < ANY (b.unlabelled_weight) THEN (b.unlabelled_most):cut END AS unlabelled_most,
    CASE WHEN :'squares' THEN (b.weight_squares):cut END AS weight_squares,
    CASE WHEN :'squares' THEN (b.difference_sum_weighted):cut END AS difference_sum_weighted,
    CASE WHEN :'squares' THEN (b.difference_squares_weighted):cut END AS difference_squares_weighted
FROM shadow.evidence_batch AS b
CROSS JOIN LATERAL (
    SELECT
        CASE WHEN :'whole' THEN 1 ELSE min(array_position(b.metrics, m.metric)) END AS first,
        CASE WHEN :'whole' THEN cardinality(b.metrics) ELSE max(array_position(b.metrics, m.metric)) END AS last,
        CASE WHEN :'every_slice' THEN cardinality(b.slice_columns) ELSE 1 END AS slices
    FROM unnest(:'metrics'::text[]) AS m (metric)
) AS w
WHERE b.id = ANY(:'rows'::bigint[]) AND w.first > 0
