-- What is checked of requests and answers is checked of whole arrays, and not by a row for each element: that took more
-- time than to write them. A comparison with all elements is null where one of them is.
CREATE OR REPLACE FUNCTION shadow.answers_are_whole(rows int, value float8[], error text[], latency_ms float8[], probabilities float8[])
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(cardinality(value) = rows AND cardinality(latency_ms) = rows AND '-Infinity' < ALL (value), false)
        AND (error IS NULL OR cardinality(error) = rows)
        AND (probabilities IS NULL OR array_length(probabilities, 1) IS NOT DISTINCT FROM rows)
        AND array_position(latency_ms, NULL) IS NULL
        AND CASE WHEN error IS NULL THEN 'Infinity' > ALL (value)  -- NaN is beyond it
            ELSE 'Infinity' <> ALL (value)
                AND NOT EXISTS (SELECT FROM unnest(value, error) AS a (v, e) WHERE (a.v = 'NaN') = (a.e IS NULL)) END
$$;

CREATE OR REPLACE FUNCTION shadow.requests_are_whole(
    rows int, request_id text[], requested_at timestamptz[], inclusion_probability float8[], cell int[],
    champion float8[], champion_version int[], champion_latency_ms float8[], champion_probabilities float8[]
)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(
            cardinality(request_id) = rows AND cardinality(requested_at) = rows AND cardinality(inclusion_probability) = rows
            AND cardinality(cell) = rows AND cardinality(champion) = rows AND cardinality(champion_version) = rows
            AND cardinality(champion_latency_ms) = rows
            AND 0 < ALL (inclusion_probability) AND 1 >= ALL (inclusion_probability) AND 0 < ALL (champion_version)
            AND '-Infinity' < ALL (champion) AND 'Infinity' <> ALL (champion), false)
        AND (champion_probabilities IS NULL OR array_length(champion_probabilities, 1) IS NOT DISTINCT FROM rows)
        AND array_position(requested_at, NULL) IS NULL AND array_position(cell, NULL) IS NULL
        AND array_position(champion_latency_ms, NULL) IS NULL
$$;
