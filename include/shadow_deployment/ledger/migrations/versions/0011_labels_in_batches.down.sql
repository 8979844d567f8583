-- The way back: a row for each label.
ALTER VIEW shadow.label RENAME TO label_one_by_one;

CREATE TABLE shadow.label (
    day           date NOT NULL,
    snapshot_id   int NOT NULL,
    ordinal       int NOT NULL,
    value         float8 NOT NULL CHECK (value > '-Infinity' AND value < 'Infinity'),
    known_at      timestamptz NOT NULL,
    collected_at  timestamptz NOT NULL DEFAULT now(),
    conflict      float8,
    PRIMARY KEY (day, snapshot_id, ordinal)
) PARTITION BY LIST (day);

COMMENT ON COLUMN shadow.label.conflict IS 'a later, contradicting label: shown, never used, and the request counts for nothing';

CREATE OR REPLACE FUNCTION shadow.ensure_partitions(the_day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    child text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['request_batch', 'prediction_batch', 'label'] LOOP
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
    WHERE relnamespace = 'shadow'::regnamespace AND relkind = 'r' AND relname ~ '^label_batch_\d{8}$') AS d;

INSERT INTO shadow.label SELECT * FROM shadow.label_one_by_one;

DROP VIEW shadow.label_one_by_one;

DROP TABLE shadow.label_batch;

DROP FUNCTION shadow.labels_one_by_one;

DROP FUNCTION shadow.labels_are_whole;
