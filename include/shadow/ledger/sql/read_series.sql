-- One challenger's evidence, a row for each day in no order: of the metrics from the first to the last that is asked for,
-- and all slices or the first one only, which is all requests.
SELECT
    b.day - '2000-01-01'::date AS day,
    array_to_json(b.metrics[w.first:w.last])::text AS metrics,
    array_to_json(b.slice_columns[1:w.slices])::text AS slice_columns,
    array_to_json(b.slice_values[1:w.slices])::text AS slice_values,
    b.requests[w.first:w.last][1:w.slices] AS requests,
    b.pairs[w.first:w.last][1:w.slices] AS pairs,
    b.identical[w.first:w.last][1:w.slices] AS identical,
    b.weight[w.first:w.last][1:w.slices] AS weight,
    b.champion_sum[w.first:w.last][1:w.slices] AS champion_sum,
    b.challenger_sum[w.first:w.last][1:w.slices] AS challenger_sum,
    b.difference_sum[w.first:w.last][1:w.slices] AS difference_sum,
    CASE WHEN :'squares' THEN b.weight_squares[w.first:w.last][1:w.slices] END AS weight_squares,
    CASE WHEN :'squares' THEN b.difference_sum_weighted[w.first:w.last][1:w.slices] END AS difference_sum_weighted,
    CASE WHEN :'squares' THEN b.difference_squares_weighted[w.first:w.last][1:w.slices] END AS difference_squares_weighted
FROM shadow.evidence_batch AS b
CROSS JOIN LATERAL (
    SELECT
        min(array_position(b.metrics, m.metric)) AS first,
        max(array_position(b.metrics, m.metric)) AS last,
        CASE WHEN :'every_slice' THEN cardinality(b.slice_columns) ELSE 1 END AS slices
    FROM unnest(:'metrics'::text[]) AS m (metric)
) AS w
WHERE b.challenger_id = :'challenger'
  AND b.snapshot_id = ANY(:'snapshots'::int[])
  AND (:'champion_version'::text IS NULL OR b.champion_version = :'champion_version')
  AND w.first > 0
