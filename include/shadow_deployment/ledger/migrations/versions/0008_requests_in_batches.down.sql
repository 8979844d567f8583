-- The way back: a row for each request.
CREATE OR REPLACE FUNCTION shadow.snapshot_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    found bigint;
BEGIN
    SELECT count(*) INTO found FROM shadow.request WHERE day = NEW.day AND snapshot_id = NEW.id;
    IF found <> NEW.rows THEN
        RAISE EXCEPTION 'snapshot % of % has % requests, must have %', NEW.id, NEW.day, found, NEW.rows
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

ALTER VIEW shadow.request RENAME TO request_one_by_one;

CREATE TABLE shadow.request (
    day                    date NOT NULL,
    snapshot_id            int NOT NULL,
    ordinal                int NOT NULL,
    request_id             text COLLATE "C",
    requested_at           timestamptz NOT NULL,
    inclusion_probability  float8 NOT NULL CHECK (inclusion_probability > 0 AND inclusion_probability <= 1),
    cell                   int NOT NULL,
    champion               float8 CHECK (champion > '-Infinity' AND champion < 'Infinity'),
    champion_version       text NOT NULL,
    champion_latency_ms    float8,
    champion_probabilities float8[],
    PRIMARY KEY (day, snapshot_id, ordinal)
) PARTITION BY LIST (day);

CREATE OR REPLACE FUNCTION shadow.ensure_partitions(the_day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    child text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['request', 'prediction_batch', 'label'] LOOP
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
    WHERE relnamespace = 'shadow'::regnamespace AND relkind = 'r' AND relname ~ '^request_batch_\d{8}$') AS d;

INSERT INTO shadow.request SELECT * FROM shadow.request_one_by_one;

DROP VIEW shadow.request_one_by_one;

DROP TABLE shadow.request_batch;

DROP FUNCTION shadow.requests_one_by_one;

DROP FUNCTION shadow.requests_are_whole;
