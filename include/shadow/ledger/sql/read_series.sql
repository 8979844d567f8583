-- One challenger's evidence, a row for each metric and slice. Each column holds a value for each day, as an
-- array. Neither rows nor days come in an order: that would sort a year of fifty slices.
SELECT
    metric, slice_column, slice_value,
    array_agg(day - '2000-01-01'::date) AS days,
    array_agg(requests) AS requests,
    array_agg(pairs) AS pairs,
    array_agg(identical) AS identical,
    array_agg(weight) AS weight,
    array_agg(champion_sum) AS champion_sum,
    array_agg(challenger_sum) AS challenger_sum,
    array_agg(difference_sum) AS difference_sum,
    array_agg(weight_squares) FILTER (WHERE :'squares') AS weight_squares,
    array_agg(difference_sum_weighted) FILTER (WHERE :'squares') AS difference_sum_weighted,
    array_agg(difference_squares_weighted) FILTER (WHERE :'squares') AS difference_squares_weighted
FROM shadow.evidence
WHERE challenger_id = :'challenger'
  AND snapshot_id = ANY(:'snapshots'::int[])
  AND metric = ANY(:'metrics'::text[])
GROUP BY metric, slice_column, slice_value
