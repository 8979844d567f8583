-- Labels, as arrays over the same 8,192 requests. The view shadow.label shows one row per label.
CREATE FUNCTION shadow.labels_are_valid(
    rows int, value float8[], known_at timestamptz[], collected_at timestamptz[], conflict float8[]
)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(
            cardinality(value) = rows AND cardinality(known_at) = rows AND cardinality(collected_at) = rows
            AND '-Infinity' < ALL (value) AND 'Infinity' <> ALL (value)
            AND array_positions(value, 'NaN') = array_positions(known_at, '-infinity')
            AND array_positions(value, 'NaN') = array_positions(collected_at, '-infinity'), false)
        AND array_position(known_at, NULL) IS NULL AND array_position(collected_at, NULL) IS NULL
        AND (conflict IS NULL OR cardinality(conflict) = rows AND NOT EXISTS (
            SELECT FROM unnest(value, conflict) AS l (v, c) WHERE c IS NULL OR (v = 'NaN' AND c <> 'NaN')))
$$;
COMMENT ON FUNCTION shadow.labels_are_valid IS 'a label is finite and has its times, and only a label can be contradicted';

CREATE TABLE shadow.label_batch (
    day            date NOT NULL,
    snapshot_id    int NOT NULL,
    first_ordinal  int NOT NULL CHECK (first_ordinal >= 0 AND first_ordinal % 8192 = 0),
    rows           int NOT NULL CHECK (rows BETWEEN 1 AND 8192),
    value          float8[] NOT NULL,
    known_at       timestamptz[] NOT NULL,
    collected_at   timestamptz[] NOT NULL,
    conflict       float8[],
    PRIMARY KEY (day, snapshot_id, first_ordinal),
    CONSTRAINT labels_are_valid CHECK (shadow.labels_are_valid(rows, value, known_at, collected_at, conflict))
) PARTITION BY LIST (day);
ALTER TABLE shadow.label_batch ALTER value SET STORAGE EXTERNAL, ALTER known_at SET STORAGE EXTERNAL;
COMMENT ON TABLE shadow.label_batch IS 'the labels of consecutive requests, each request in one row only; shadow.label shows one row per label';
COMMENT ON COLUMN shadow.label_batch.value IS 'NaN where there is no label; its times are then -infinity';
COMMENT ON COLUMN shadow.label_batch.conflict IS 'a later label that contradicts value: such a request is never used; NaN where there is none, null where the batch has none';

CREATE FUNCTION shadow.unnest_labels(float8[], timestamptz[], timestamptz[], float8[])
RETURNS TABLE (place bigint, value float8, known_at timestamptz, collected_at timestamptz, conflict float8)
LANGUAGE plpgsql IMMUTABLE ROWS 8192 AS $$
BEGIN
    RETURN QUERY SELECT a.place, a.value, a.known_at, a.collected_at, nullif(a.conflict, 'NaN')
    FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS a (value, known_at, collected_at, conflict, place)
    WHERE a.value <> 'NaN';
END $$;
COMMENT ON FUNCTION shadow.unnest_labels IS 'the labels of a batch, one row per request that has a label';

CREATE VIEW shadow.label AS
SELECT b.day, b.snapshot_id, (b.first_ordinal + a.place - 1)::int AS ordinal, a.value, a.known_at, a.collected_at, a.conflict
FROM shadow.label_batch AS b
CROSS JOIN LATERAL shadow.unnest_labels(b.value, b.known_at, b.collected_at, b.conflict) AS a;
COMMENT ON VIEW shadow.label IS 'the first label of a request that became known';
COMMENT ON COLUMN shadow.label.conflict IS 'a later label that contradicts value: such a request is never used';
