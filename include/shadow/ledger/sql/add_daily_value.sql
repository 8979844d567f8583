-- One metric that is no sum, for a day and slice: an observation of weight 1.
INSERT INTO shadow.evidence AS e (
    deployment_id, day, snapshot_id, challenger_id, champion_version, slice_column, slice_value, metric,
    requests, labelled, pairs, identical, weight, weight_squares, champion_sum, champion_squares,
    challenger_sum, challenger_squares, difference_sum, difference_squares,
    difference_sum_weighted, difference_squares_weighted
)
SELECT
    :'deployment', :'day', :'snapshot', :'challenger', :'champion_version', :'slice_column', :'slice_value', :'metric',
    :'requests', :'labelled', :'pairs', :'identical', 1, 1, v.champion, v.champion ^ 2,
    v.challenger, v.challenger ^ 2, v.difference, v.difference ^ 2, v.difference, v.difference ^ 2
FROM (
    SELECT
        :'champion_value'::float8 AS champion, :'challenger_value'::float8 AS challenger,
        :'difference'::float8 AS difference
) AS v
ON CONFLICT (snapshot_id, challenger_id, champion_version, slice_column, slice_value, metric) DO UPDATE SET
    requests = excluded.requests, labelled = excluded.labelled, pairs = excluded.pairs,
    identical = excluded.identical, champion_sum = excluded.champion_sum, champion_squares = excluded.champion_squares,
    challenger_sum = excluded.challenger_sum, challenger_squares = excluded.challenger_squares,
    difference_sum = excluded.difference_sum, difference_squares = excluded.difference_squares,
    difference_sum_weighted = excluded.difference_sum_weighted,
    difference_squares_weighted = excluded.difference_squares_weighted, computed_at = excluded.computed_at
WHERE (e.requests, e.labelled, e.pairs, e.identical, e.champion_sum, e.challenger_sum, e.difference_sum)
    IS DISTINCT FROM (
        excluded.requests, excluded.labelled, excluded.pairs, excluded.identical, excluded.champion_sum,
        excluded.challenger_sum, excluded.difference_sum
    )
