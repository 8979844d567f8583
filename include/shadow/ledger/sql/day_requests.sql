-- Some of a day's requests, each column as one array without nulls: what is missing is NaN.
SELECT
    array_agg(ordinal), array_agg(cell), array_agg(array_position(:'versions'::text[], champion_version)),
    array_agg(1 / inclusion_probability), array_agg(coalesce(champion, 'NaN')), :latency,
    :probabilities
FROM shadow.request
WHERE day = :'day' AND snapshot_id = :'snapshot' AND ordinal >= :'first' AND ordinal < :'end'
