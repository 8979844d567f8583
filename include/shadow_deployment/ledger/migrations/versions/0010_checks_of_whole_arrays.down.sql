-- The way back: checks that look at the elements one by one.
CREATE OR REPLACE FUNCTION shadow.answers_are_whole(rows int, value float8[], error text[], latency_ms float8[], probabilities float8[])
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(cardinality(value) = rows AND cardinality(latency_ms) = rows, false)
        AND (error IS NULL OR cardinality(error) = rows)
        AND (probabilities IS NULL OR array_length(probabilities, 1) IS NOT DISTINCT FROM rows)
        AND array_position(value, 'Infinity') IS NULL AND array_position(value, '-Infinity') IS NULL
        AND array_position(value, NULL) IS NULL AND array_position(latency_ms, NULL) IS NULL
        AND CASE WHEN error IS NULL THEN array_position(value, 'NaN') IS NULL
            ELSE NOT EXISTS (SELECT FROM unnest(value, error) AS a (v, e) WHERE (a.v = 'NaN') = (a.e IS NULL)) END
$$;

CREATE OR REPLACE FUNCTION shadow.requests_are_whole(
    rows int, request_id text[], requested_at timestamptz[], inclusion_probability float8[], cell int[],
    champion float8[], champion_version int[], champion_latency_ms float8[], champion_probabilities float8[]
)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(
            cardinality(request_id) = rows AND cardinality(requested_at) = rows AND cardinality(inclusion_probability) = rows
            AND cardinality(cell) = rows AND cardinality(champion) = rows AND cardinality(champion_version) = rows
            AND cardinality(champion_latency_ms) = rows, false)
        AND (champion_probabilities IS NULL OR array_length(champion_probabilities, 1) IS NOT DISTINCT FROM rows)
        AND array_position(requested_at, NULL) IS NULL AND array_position(cell, NULL) IS NULL
        AND array_position(champion, NULL) IS NULL AND array_position(champion_latency_ms, NULL) IS NULL
        AND array_position(champion, 'Infinity') IS NULL AND array_position(champion, '-Infinity') IS NULL
        AND NOT EXISTS (
            SELECT FROM unnest(inclusion_probability, champion_version) AS r (p, v)
            WHERE NOT coalesce(r.p > 0 AND r.p <= 1 AND r.v > 0, false))
$$;
