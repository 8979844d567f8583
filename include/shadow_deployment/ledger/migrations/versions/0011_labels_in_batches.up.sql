-- Labels lie as arrays, 8,192 requests a row, as the requests and the answers to them do. `shadow.label` still shows them
-- one by one.
-- Statements are separated by an empty line after the semicolon.

CREATE FUNCTION shadow.labels_are_whole(
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

COMMENT ON FUNCTION shadow.labels_are_whole IS 'a label is finite and has its times, and only where there is one can there be another that contradicts it';

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
    CONSTRAINT labels_are_whole CHECK (shadow.labels_are_whole(rows, value, known_at, collected_at, conflict))
) PARTITION BY LIST (day);

ALTER TABLE shadow.label_batch ALTER value SET STORAGE EXTERNAL, ALTER known_at SET STORAGE EXTERNAL;

COMMENT ON TABLE shadow.label_batch IS 'the labels of consecutive requests, each request in one row only; shadow.label shows them one by one';

COMMENT ON COLUMN shadow.label_batch.value IS 'NaN where there is no label; its times are then -infinity';

COMMENT ON COLUMN shadow.label_batch.conflict IS 'a later, contradicting label: shown, never used, and the request counts for nothing; NaN where there is none, null where there is none in the batch';

CREATE OR REPLACE FUNCTION shadow.ensure_partitions(the_day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    child text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['request_batch', 'prediction_batch', 'label_batch'] LOOP
        child := parent || '_' || to_char(the_day, 'YYYYMMDD');
        IF to_regclass('shadow.' || child) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('shadow.partitions', 0));
            IF NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'shadow'::regnamespace AND relname = child) THEN
                EXECUTE format('CREATE TABLE shadow.%I (LIKE shadow.%I INCLUDING ALL)', child, parent);
                EXECUTE format('ALTER TABLE shadow.%I ATTACH PARTITION shadow.%I FOR VALUES IN (%L)', parent, child, the_day);
            END IF;
        END IF;
    END LOOP;
END $$;

SELECT shadow.ensure_partitions(day)
FROM (SELECT DISTINCT to_date(right(relname, 8), 'YYYYMMDD') AS day FROM pg_class
    WHERE relnamespace = 'shadow'::regnamespace AND relkind = 'r' AND relname ~ '^label_\d{8}$') AS d;

INSERT INTO shadow.label_batch
SELECT b.day, b.snapshot_id, b.first_ordinal, count(*), array_agg(coalesce(l.value, 'NaN') ORDER BY o.ordinal),
    array_agg(coalesce(l.known_at, '-infinity') ORDER BY o.ordinal),
    array_agg(coalesce(l.collected_at, '-infinity') ORDER BY o.ordinal),
    CASE WHEN count(l.conflict) > 0 THEN array_agg(coalesce(l.conflict, 'NaN') ORDER BY o.ordinal) END
FROM (
    SELECT l.day, l.snapshot_id, l.ordinal / 8192 * 8192 AS first_ordinal, greatest(max(l.ordinal) + 1, max(s.rows)) AS rows
    FROM shadow.label AS l
    LEFT JOIN shadow.snapshot AS s ON s.id = l.snapshot_id
    GROUP BY l.day, l.snapshot_id, l.ordinal / 8192
) AS b
CROSS JOIN LATERAL generate_series(b.first_ordinal, least(b.first_ordinal + 8192, b.rows) - 1) AS o (ordinal)
LEFT JOIN shadow.label AS l ON l.day = b.day AND l.snapshot_id = b.snapshot_id AND l.ordinal = o.ordinal
GROUP BY b.day, b.snapshot_id, b.first_ordinal;

DROP TABLE shadow.label;

CREATE FUNCTION shadow.labels_one_by_one(float8[], timestamptz[], timestamptz[], float8[])
RETURNS TABLE (place bigint, value float8, known_at timestamptz, collected_at timestamptz, conflict float8)
LANGUAGE plpgsql IMMUTABLE ROWS 8192 AS $$
BEGIN
    RETURN QUERY SELECT a.place, a.value, a.known_at, a.collected_at, nullif(a.conflict, 'NaN')
    FROM unnest($1, $2, $3, $4) WITH ORDINALITY AS a (value, known_at, collected_at, conflict, place)
    WHERE a.value <> 'NaN';
END $$;

COMMENT ON FUNCTION shadow.labels_one_by_one IS 'the labels of a batch, a row for each request that has one; the planner is told how many rows that are';

CREATE VIEW shadow.label AS
SELECT b.day, b.snapshot_id, (b.first_ordinal + a.place - 1)::int AS ordinal, a.value, a.known_at, a.collected_at, a.conflict
FROM shadow.label_batch AS b
CROSS JOIN LATERAL shadow.labels_one_by_one(b.value, b.known_at, b.collected_at, b.conflict) AS a;

COMMENT ON VIEW shadow.label IS 'the first label of a request that became known';

COMMENT ON COLUMN shadow.label.conflict IS 'a later, contradicting label: shown, never used, and the request counts for nothing';
