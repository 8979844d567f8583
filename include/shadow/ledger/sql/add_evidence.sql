-- A day's evidence of one challenger. Running it again changes nothing.
INSERT INTO shadow.evidence AS e (
    deployment_id, day, snapshot_id, challenger_id, champion_version, slice_column, slice_value, metric,
    requests, labelled, pairs, identical, weight, weight_squares, champion_sum, champion_squares,
    challenger_sum, challenger_squares, difference_sum, difference_squares,
    difference_sum_weighted, difference_squares_weighted
)
SELECT :'deployment', :'day', :'snapshot', :'challenger', n.*
FROM unnest(
    :'champion_version'::text[], :'slice_column'::text[], :'slice_value'::text[], :'metric'::text[],
    :'requests'::int[], :'labelled'::int[], :'pairs'::int[], :'identical'::int[],
    :'weight'::float8[], :'weight_squares'::float8[], :'champion_sum'::float8[], :'champion_squares'::float8[],
    :'challenger_sum'::float8[], :'challenger_squares'::float8[], :'difference_sum'::float8[],
    :'difference_squares'::float8[], :'difference_sum_weighted'::float8[], :'difference_squares_weighted'::float8[]
) AS n
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
