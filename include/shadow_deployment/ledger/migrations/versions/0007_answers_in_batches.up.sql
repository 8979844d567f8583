-- Answers lie as arrays, thousands of requests a row: a row and an index entry for each answer took the most time of a
-- day and the most room. `shadow.prediction` still shows one row for each request, as a view.
-- Statements are separated by an empty line after the semicolon.

CREATE FUNCTION shadow.answers_are_whole(rows int, value float8[], error text[], latency_ms float8[], probabilities float8[])
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(cardinality(value) = rows AND cardinality(latency_ms) = rows, false)
        AND (error IS NULL OR cardinality(error) = rows)
        AND (probabilities IS NULL OR array_length(probabilities, 1) IS NOT DISTINCT FROM rows)
        AND array_position(value, 'Infinity') IS NULL AND array_position(value, '-Infinity') IS NULL
        AND array_position(value, NULL) IS NULL AND array_position(latency_ms, NULL) IS NULL
        AND CASE WHEN error IS NULL THEN array_position(value, 'NaN') IS NULL
            ELSE NOT EXISTS (SELECT FROM unnest(value, error) AS a (v, e) WHERE (a.v = 'NaN') = (a.e IS NULL)) END
$$;

COMMENT ON FUNCTION shadow.answers_are_whole IS 'every request has a finite value or an error, and never both or neither';

CREATE TABLE shadow.prediction_batch (
    day            date NOT NULL,
    snapshot_id    int NOT NULL,
    challenger_id  int NOT NULL,
    first_ordinal  int NOT NULL,
    rows           int NOT NULL CHECK (rows > 0),
    value          float8[] NOT NULL,
    latency_ms     float8[] NOT NULL,
    error          text[],
    probabilities  float8[],
    PRIMARY KEY (day, snapshot_id, challenger_id, first_ordinal),
    CONSTRAINT answers_are_whole CHECK (shadow.answers_are_whole(rows, value, error, latency_ms, probabilities))
) PARTITION BY LIST (day);

ALTER TABLE shadow.prediction_batch
    ALTER value SET STORAGE EXTERNAL, ALTER latency_ms SET STORAGE EXTERNAL, ALTER probabilities SET STORAGE EXTERNAL;

COMMENT ON TABLE shadow.prediction_batch IS 'what one challenger answered to consecutive requests, stored once; shadow.prediction shows them one by one';

COMMENT ON COLUMN shadow.prediction_batch.value IS 'the answers in the order of the draw, NaN where there is an error';

COMMENT ON COLUMN shadow.prediction_batch.latency_ms IS 'NaN where it is not known';

COMMENT ON COLUMN shadow.prediction_batch.error IS 'null where there is none in the batch';

COMMENT ON COLUMN shadow.prediction_batch.probabilities IS 'a row for each request, of each class, where there are several; value is then the likeliest, counted from 0';

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
    WHERE relnamespace = 'shadow'::regnamespace AND relkind = 'r' AND relname ~ '^prediction_\d{8}$') AS d;

INSERT INTO shadow.prediction_batch
SELECT day, snapshot_id, challenger_id, min(ordinal), count(*), array_agg(coalesce(value, 'NaN') ORDER BY ordinal),
    array_agg(coalesce(latency_ms, 'NaN') ORDER BY ordinal),
    CASE WHEN count(error) > 0 THEN array_agg(error ORDER BY ordinal) END,
    CASE WHEN count(probabilities) > 0 THEN
        array_agg(coalesce(probabilities, array_fill('NaN'::float8, ARRAY[coalesce(classes, 1)])) ORDER BY ordinal) END
FROM (
    SELECT *,
        ordinal - row_number() OVER series AS run,
        max(cardinality(probabilities)) OVER (PARTITION BY day, snapshot_id, challenger_id) AS classes
    FROM shadow.prediction
    WINDOW series AS (PARTITION BY day, snapshot_id, challenger_id ORDER BY ordinal)
) AS p
GROUP BY day, snapshot_id, challenger_id, run, ordinal / 8192;

DROP TABLE shadow.prediction;

CREATE FUNCTION shadow.one_by_one(float8[], text[], float8[], float8[])
RETURNS TABLE (place bigint, value float8, error text, latency_ms float8, probabilities float8[])
LANGUAGE plpgsql IMMUTABLE ROWS 8192 AS $$
BEGIN
    IF $4 IS NULL THEN
        RETURN QUERY SELECT a.place, nullif(a.value, 'NaN'), a.error, nullif(a.latency_ms, 'NaN'), NULL::float8[]
        FROM unnest($1, $2, $3) WITH ORDINALITY AS a (value, error, latency_ms, place);
    ELSE
        RETURN QUERY SELECT a.place, nullif(a.value, 'NaN'), a.error, nullif(a.latency_ms, 'NaN'),
            CASE WHEN a.error IS NULL THEN p.shares END
        FROM unnest($1, $2, $3) WITH ORDINALITY AS a (value, error, latency_ms, place)
        JOIN (
            SELECT (u.place - 1) / array_length($4, 2) + 1 AS place, array_agg(u.share ORDER BY u.place) AS shares
            FROM unnest($4) WITH ORDINALITY AS u (share, place)
            GROUP BY 1
        ) AS p ON p.place = a.place;
    END IF;
END $$;

COMMENT ON FUNCTION shadow.one_by_one IS 'value, error, latency and probabilities of a batch, a row for each request; the planner is told how many rows that are';

CREATE VIEW shadow.prediction AS
SELECT
    b.day, b.snapshot_id, b.challenger_id, (b.first_ordinal + a.place - 1)::int AS ordinal, a.value, a.error, a.latency_ms,
    a.probabilities
FROM shadow.prediction_batch AS b
CROSS JOIN LATERAL shadow.one_by_one(b.value, b.error, b.latency_ms, b.probabilities) AS a;

COMMENT ON VIEW shadow.prediction IS 'what one challenger answered to one request: a value or an error';

COMMENT ON COLUMN shadow.prediction.probabilities IS 'of each class, where there are several; value is then the likeliest, counted from 0';

CREATE OR REPLACE FUNCTION shadow.shard_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    found bigint;
    the_day date := (SELECT day FROM shadow.snapshot WHERE id = NEW.snapshot_id);
BEGIN
    SELECT coalesce(sum(rows), 0) INTO found FROM shadow.prediction_batch
    WHERE day = the_day AND snapshot_id = NEW.snapshot_id AND challenger_id = NEW.challenger_id
      AND first_ordinal >= NEW.first_ordinal AND first_ordinal + rows <= NEW.first_ordinal + NEW.rows;
    IF found <> NEW.rows THEN
        RAISE EXCEPTION 'shard % of snapshot % has % predictions, must have %', NEW.shard, NEW.snapshot_id, found, NEW.rows
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
