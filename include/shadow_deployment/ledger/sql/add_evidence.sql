-- A day's evidence of one challenger against one champion. Running it again changes nothing.
INSERT INTO shadow.evidence_batch AS e (
    deployment_id, day, snapshot_id, challenger_id, champion_version, metrics, slice_columns, slice_values,
    requests, labelled, pairs, identical, weight, weight_squares, champion_sum, champion_squares,
    challenger_sum, challenger_squares, difference_sum, difference_squares,
    difference_sum_weighted, difference_squares_weighted
)
VALUES (
    :'deployment', :'day', :'snapshot', :'challenger', :'champion_version', :'metrics', :'slice_columns', :'slice_values',
    :'requests', :'labelled', :'pairs', :'identical', :'weight', :'weight_squares', :'champion_sum', :'champion_squares',
    :'challenger_sum', :'challenger_squares', :'difference_sum', :'difference_squares',
    :'difference_sum_weighted', :'difference_squares_weighted'
)
ON CONFLICT (challenger_id, snapshot_id, champion_version) DO UPDATE SET
    metrics = excluded.metrics, slice_columns = excluded.slice_columns, slice_values = excluded.slice_values,
    requests = excluded.requests, labelled = excluded.labelled, pairs = excluded.pairs,
    identical = excluded.identical, weight = excluded.weight, weight_squares = excluded.weight_squares,
    champion_sum = excluded.champion_sum, champion_squares = excluded.champion_squares,
    challenger_sum = excluded.challenger_sum, challenger_squares = excluded.challenger_squares,
    difference_sum = excluded.difference_sum, difference_squares = excluded.difference_squares,
    difference_sum_weighted = excluded.difference_sum_weighted,
    difference_squares_weighted = excluded.difference_squares_weighted, computed_at = excluded.computed_at
WHERE (
    e.metrics, e.slice_columns, e.slice_values, e.requests, e.labelled, e.pairs, e.identical, e.weight, e.weight_squares,
    e.champion_sum, e.champion_squares, e.challenger_sum, e.challenger_squares, e.difference_sum, e.difference_squares,
    e.difference_sum_weighted, e.difference_squares_weighted
) IS DISTINCT FROM (
    excluded.metrics, excluded.slice_columns, excluded.slice_values, excluded.requests, excluded.labelled, excluded.pairs,
    excluded.identical, excluded.weight, excluded.weight_squares, excluded.champion_sum, excluded.champion_squares,
    excluded.challenger_sum, excluded.challenger_squares, excluded.difference_sum, excluded.difference_squares,
    excluded.difference_sum_weighted, excluded.difference_squares_weighted
)
