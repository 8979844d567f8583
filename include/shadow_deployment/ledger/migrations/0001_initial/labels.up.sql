-- Labels as they arrive, appended: each arrival says anew what is known of some requests' labels, as arrays of up to 8,192
-- requests per row, and the newest arrival of a request counts. The view shadow.label shows one row per label.
CREATE FUNCTION shadow.times_are_valid(rows int, given boolean[], moments timestamptz[])
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT cardinality(given) = rows AND cardinality(moments) = rows AND array_position(moments, NULL) IS NULL
        AND '-infinity' < ALL (moments) AND array_positions(given, false) = array_positions(moments, 'infinity')
$$;
COMMENT ON FUNCTION shadow.times_are_valid IS 'each of the rows has a time, which is infinity exactly where nothing was given';

CREATE FUNCTION shadow.labels_are_valid(
    rows int, ordinal int[], value float8[], known_at timestamptz[], conflict float8[], conflict_at timestamptz[],
    invalid text[], invalid_at timestamptz[], early_at timestamptz[]
)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(
            cardinality(ordinal) = rows AND array_position(ordinal, NULL) IS NULL AND cardinality(value) = rows
            AND '-Infinity' < ALL (value) AND 'Infinity' <> ALL (value)
            AND cardinality(known_at) = rows AND array_position(known_at, NULL) IS NULL AND '-infinity' < ALL (known_at)
            AND array_positions(value, 'NaN') = array_positions(known_at, 'infinity'), false)
        AND (conflict IS NULL) = (conflict_at IS NULL) AND (invalid IS NULL) = (invalid_at IS NULL)
        AND (conflict IS NULL OR coalesce(
            cardinality(conflict) = rows AND '-Infinity' < ALL (conflict) AND 'Infinity' <> ALL (conflict)
            AND shadow.times_are_valid(rows, ARRAY(SELECT c <> 'NaN' FROM unnest(conflict) AS c), conflict_at)
            AND NOT EXISTS (SELECT FROM unnest(value, conflict) AS l (v, c) WHERE v = 'NaN' AND c <> 'NaN'), false))
        AND (invalid IS NULL OR coalesce(
            shadow.times_are_valid(rows, ARRAY(SELECT t IS NOT NULL FROM unnest(invalid) AS t), invalid_at), false))
        AND (early_at IS NULL OR coalesce(cardinality(early_at) = rows AND array_position(early_at, NULL) IS NULL, false))
$$;
COMMENT ON FUNCTION shadow.labels_are_valid IS 'a label is finite and has its time, and only a label can be contradicted';

CREATE TABLE shadow.label_arrival (
    day            date NOT NULL,
    snapshot_id    int NOT NULL,
    arrival        int NOT NULL CHECK (arrival > 0),
    first_ordinal  int NOT NULL CHECK (first_ordinal >= 0),
    last_ordinal   int NOT NULL CHECK (last_ordinal >= first_ordinal),
    rows           int NOT NULL CHECK (rows BETWEEN 1 AND 8192),
    ordinal        int[] NOT NULL,
    value          float8[] NOT NULL,
    known_at       timestamptz[] NOT NULL,
    conflict       float8[],
    conflict_at    timestamptz[],
    invalid        text[],
    invalid_at     timestamptz[],
    early_at       timestamptz[],
    collected_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (day, snapshot_id, arrival, first_ordinal),
    CHECK (first_ordinal = ordinal[1] AND last_ordinal = ordinal[cardinality(ordinal)]),
    CONSTRAINT labels_are_valid CHECK (shadow.labels_are_valid(
        rows, ordinal, value, known_at, conflict, conflict_at, invalid, invalid_at, early_at))
) PARTITION BY LIST (day);
ALTER TABLE shadow.label_arrival
    ALTER ordinal SET STORAGE EXTERNAL, ALTER value SET STORAGE EXTERNAL, ALTER known_at SET STORAGE EXTERNAL;
COMMENT ON TABLE shadow.label_arrival IS 'append-only: what became known of requests'' labels; of each request, the newest arrival counts';
COMMENT ON COLUMN shadow.label_arrival.ordinal IS 'the requests, in ascending order; the other arrays have an element for each';
COMMENT ON COLUMN shadow.label_arrival.value IS 'the label that was known first, NaN where there is none; its time is then infinity';
COMMENT ON COLUMN shadow.label_arrival.conflict IS 'the first label that contradicts value, NaN where there is none; null where no request of the row has one';
COMMENT ON COLUMN shadow.label_arrival.invalid IS 'the beginning of the first value that is no label of the task, null where there is none';
COMMENT ON COLUMN shadow.label_arrival.early_at IS 'when a label was known that was known before its request: it is never used; infinity where there is none';

CREATE TABLE shadow.label_collection (
    snapshot_id   int NOT NULL REFERENCES shadow.sampled_day,
    collection    int NOT NULL CHECK (collection > 0),
    labels_until  timestamptz NOT NULL,
    arrival       int NOT NULL CHECK (arrival >= 0),
    labelled      int NOT NULL CHECK (labelled >= 0),
    contradicted  int NOT NULL CHECK (contradicted >= 0),
    invalid       int NOT NULL CHECK (invalid >= 0),
    early         int NOT NULL CHECK (early >= 0),
    complete_at   timestamptz,
    collected_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (snapshot_id, collection)
);
COMMENT ON TABLE shadow.label_collection IS 'append-only: up to when a day''s labels were collected, and how many requests have which; the newest collection counts';
COMMENT ON COLUMN shadow.label_collection.labels_until IS 'labels known up to this time have been collected';
COMMENT ON COLUMN shadow.label_collection.arrival IS 'the newest arrival; earlier comparisons are stale';
COMMENT ON COLUMN shadow.label_collection.complete_at IS 'when the last request got its label; null where a request has none';

CREATE TRIGGER label_arrival_keeps_rows BEFORE UPDATE OR DELETE ON shadow.label_arrival
    FOR EACH ROW
    WHEN (current_setting('shadow.removing', true) IS DISTINCT FROM 'yes')
    EXECUTE FUNCTION shadow.refuse_change();
CALL shadow.make_append_only(ARRAY['label_collection']);
CALL shadow.make_append_only(ARRAY['label_arrival'], but_for_removal => true);

CREATE VIEW shadow.labelled_snapshot AS
SELECT
    s.*, c.labels_until, coalesce(c.arrival, 0) AS label_revision, coalesce(c.labelled, 0) AS labelled,
    coalesce(c.contradicted, 0) AS contradicted, coalesce(c.invalid, 0) AS invalid, coalesce(c.early, 0) AS early, c.complete_at
FROM shadow.day_so_far AS s
LEFT JOIN LATERAL (
    SELECT * FROM shadow.label_collection AS c WHERE c.snapshot_id = s.id ORDER BY collection DESC LIMIT 1
) AS c ON true;
COMMENT ON VIEW shadow.labelled_snapshot IS 'each sampled day, complete or not, with the newest collection of its labels';

CREATE FUNCTION shadow.unnest_labels(
    int[], float8[], timestamptz[], float8[], timestamptz[], text[], timestamptz[], timestamptz[]
)
RETURNS TABLE (
    ordinal int, value float8, known_at timestamptz, conflict float8, conflict_at timestamptz, invalid text,
    invalid_at timestamptz, early_at timestamptz
)
LANGUAGE plpgsql IMMUTABLE ROWS 8192 AS $$
BEGIN
    RETURN QUERY SELECT a.ordinal, nullif(a.value, 'NaN'), nullif(a.known_at, 'infinity'), nullif(a.conflict, 'NaN'),
        nullif(a.conflict_at, 'infinity'), a.invalid, nullif(a.invalid_at, 'infinity'), nullif(a.early_at, 'infinity')
    FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
        AS a (ordinal, value, known_at, conflict, conflict_at, invalid, invalid_at, early_at);
END $$;
COMMENT ON FUNCTION shadow.unnest_labels IS 'the arrays of an arrival, one row per request';

CREATE VIEW shadow.known_label AS
SELECT DISTINCT ON (b.day, b.snapshot_id, a.ordinal) b.day, b.snapshot_id, a.*, b.arrival, b.collected_at
FROM shadow.label_arrival AS b
CROSS JOIN LATERAL shadow.unnest_labels(
    b.ordinal, b.value, b.known_at, b.conflict, b.conflict_at, b.invalid, b.invalid_at, b.early_at
) AS a
ORDER BY b.day, b.snapshot_id, a.ordinal, b.arrival DESC;
COMMENT ON VIEW shadow.known_label IS 'the newest that is known of each request of which any label, valid or not, has arrived';

CREATE VIEW shadow.label AS
SELECT day, snapshot_id, ordinal, value, known_at, collected_at, conflict, conflict_at
FROM shadow.known_label WHERE value IS NOT NULL;
COMMENT ON VIEW shadow.label IS 'the first label of a request that became known';
COMMENT ON COLUMN shadow.label.conflict IS 'a later label that contradicts value: such a request does not count until production has one label again';

CREATE VIEW shadow.quarantined_label AS
SELECT day, snapshot_id, ordinal, invalid, invalid_at, early_at, collected_at
FROM shadow.known_label WHERE invalid_at IS NOT NULL OR early_at IS NOT NULL;
COMMENT ON VIEW shadow.quarantined_label IS 'requests with a value that is no label of the task, or with a label that was known before the request';
