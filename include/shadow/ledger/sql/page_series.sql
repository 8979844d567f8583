-- Evidence of some challengers on some snapshots, a row for each challenger, metric and slice. Each column holds a value
-- for each day, in order, in the binary form of int4 (days since 2000-01-01, pairs) and float8: a year of fifty slices is
-- read several times faster than row by row.
SELECT
    challenger_id, metric, slice_column, slice_value,
    string_agg(int4send(day - '2000-01-01'::date), '') AS days,
    string_agg(int4send(pairs), '') AS pairs,
    string_agg(float8send(weight), '') AS weight,
    string_agg(float8send(champion_sum), '') AS champion,
    string_agg(float8send(challenger_sum), '') AS challenger,
    string_agg(float8send(difference_sum), '') AS difference,
    string_agg(float8send(weight_squares), '') FILTER (WHERE :'squares') AS weight_squares,
    string_agg(float8send(difference_sum_weighted), '') FILTER (WHERE :'squares') AS difference_sum_weighted,
    string_agg(float8send(difference_squares_weighted), '') FILTER (WHERE :'squares') AS difference_squares_weighted
FROM (
    SELECT *
    FROM shadow.evidence
    WHERE challenger_id = ANY(:'challengers'::int[])
      AND snapshot_id = ANY(:'snapshots'::int[])
      AND champion_version = :'champion_version'
      AND metric = ANY(:'metrics'::text[])
      AND (:'every_slice' OR slice_column = 'all')
      AND pairs > 0
    ORDER BY challenger_id, metric, slice_column, slice_value, day
) AS e
GROUP BY challenger_id, metric, slice_column, slice_value
