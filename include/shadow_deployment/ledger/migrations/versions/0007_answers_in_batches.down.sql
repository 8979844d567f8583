-- The way back: a row for each answer.
CREATE OR REPLACE FUNCTION shadow.shard_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    found bigint;
    the_day date := (SELECT day FROM shadow.snapshot WHERE id = NEW.snapshot_id);
BEGIN
    SELECT count(*) INTO found FROM shadow.prediction
    WHERE day = the_day AND snapshot_id = NEW.snapshot_id AND challenger_id = NEW.challenger_id
      AND ordinal >= NEW.first_ordinal AND ordinal < NEW.first_ordinal + NEW.rows;
    IF found <> NEW.rows THEN
        RAISE EXCEPTION 'shard % of snapshot % has % predictions, must have %', NEW.shard, NEW.snapshot_id, found, NEW.rows
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

ALTER VIEW shadow.prediction RENAME TO prediction_one_by_one;

CREATE TABLE shadow.prediction (
    day            date NOT NULL,
    snapshot_id    int NOT NULL,
    challenger_id  int NOT NULL,
    ordinal        int NOT NULL,
    value          float8 CHECK (value > '-Infinity' AND value < 'Infinity'),
    error          text,
    latency_ms     float8,
    probabilities  float8[],
    PRIMARY KEY (day, snapshot_id, challenger_id, ordinal),
    CHECK ((value IS NULL) <> (error IS NULL))
) PARTITION BY LIST (day);

COMMENT ON COLUMN shadow.prediction.probabilities IS 'of each class, where there are several; value is then the likeliest, counted from 0';

COMMENT ON TABLE shadow.prediction IS 'what one challenger answered to one request: a value or an error, stored once';

CREATE OR REPLACE FUNCTION shadow.ensure_partitions(the_day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    child text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['request', 'prediction', 'label'] LOOP
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
    WHERE relnamespace = 'shadow'::regnamespace AND relkind = 'r' AND relname ~ '^prediction_batch_\d{8}$') AS d;

INSERT INTO shadow.prediction SELECT * FROM shadow.prediction_one_by_one;

DROP VIEW shadow.prediction_one_by_one;

DROP TABLE shadow.prediction_batch;

DROP FUNCTION shadow.one_by_one;

DROP FUNCTION shadow.answers_are_whole;
