-- Requests lie as arrays, thousands a row, as the answers to them do. `shadow.request` still shows them one by one.
-- Statements are separated by an empty line after the semicolon.

CREATE FUNCTION shadow.requests_are_whole(
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

COMMENT ON FUNCTION shadow.requests_are_whole IS 'only an id may be missing, probabilities are above 0 and at most 1, and no answer is infinite';

CREATE TABLE shadow.request_batch (
    day                     date NOT NULL,
    snapshot_id             int NOT NULL,
    first_ordinal           int NOT NULL CHECK (first_ordinal >= 0),
    rows                    int NOT NULL CHECK (rows > 0),
    request_id              text[] NOT NULL,
    requested_at            timestamptz[] NOT NULL,
    inclusion_probability   float8[] NOT NULL,
    cell                    int[] NOT NULL,
    champion                float8[] NOT NULL,
    champion_version        int[] NOT NULL,
    champion_latency_ms     float8[] NOT NULL,
    champion_probabilities  float8[],
    PRIMARY KEY (day, snapshot_id, first_ordinal),
    CONSTRAINT requests_are_whole CHECK (shadow.requests_are_whole(
        rows, request_id, requested_at, inclusion_probability, cell, champion, champion_version, champion_latency_ms,
        champion_probabilities))
) PARTITION BY LIST (day);

ALTER TABLE shadow.request_batch
    ALTER request_id SET STORAGE EXTERNAL, ALTER requested_at SET STORAGE EXTERNAL,
    ALTER inclusion_probability SET STORAGE EXTERNAL, ALTER cell SET STORAGE EXTERNAL, ALTER champion SET STORAGE EXTERNAL,
    ALTER champion_version SET STORAGE EXTERNAL, ALTER champion_latency_ms SET STORAGE EXTERNAL,
    ALTER champion_probabilities SET STORAGE EXTERNAL;

COMMENT ON TABLE shadow.request_batch IS 'consecutive requests of a snapshot, in the order of the draw; shadow.request shows them one by one';

COMMENT ON COLUMN shadow.request_batch.champion IS 'what the champion said, NaN where it gave no answer';

COMMENT ON COLUMN shadow.request_batch.champion_version IS 'which of the snapshot''s champion_versions answered, counted from 1';

COMMENT ON COLUMN shadow.request_batch.champion_latency_ms IS 'NaN where it is not known';

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
    WHERE relnamespace = 'shadow'::regnamespace AND relkind = 'r' AND relname ~ '^request_\d{8}$') AS d;

INSERT INTO shadow.request_batch
SELECT day, snapshot_id, min(ordinal), count(*), array_agg(request_id ORDER BY ordinal),
    array_agg(requested_at ORDER BY ordinal), array_agg(inclusion_probability ORDER BY ordinal),
    array_agg(cell ORDER BY ordinal), array_agg(coalesce(champion, 'NaN') ORDER BY ordinal),
    array_agg(version ORDER BY ordinal), array_agg(coalesce(champion_latency_ms, 'NaN') ORDER BY ordinal),
    CASE WHEN count(champion_probabilities) > 0 THEN array_agg(
        coalesce(champion_probabilities, array_fill('NaN'::float8, ARRAY[coalesce(classes, 1)])) ORDER BY ordinal) END
FROM (
    SELECT r.*,
        array_position(s.champion_versions, r.champion_version) AS version,
        ordinal - row_number() OVER series AS run,
        max(cardinality(champion_probabilities)) OVER (PARTITION BY r.snapshot_id) AS classes
    FROM shadow.request AS r
    JOIN shadow.snapshot AS s ON s.id = r.snapshot_id
    WINDOW series AS (PARTITION BY r.day, r.snapshot_id ORDER BY ordinal)
) AS r
GROUP BY day, snapshot_id, run, ordinal / 8192;

DROP TABLE shadow.request;

CREATE FUNCTION shadow.requests_one_by_one(
    text[], timestamptz[], float8[], int[], float8[], int[], float8[], float8[]
)
RETURNS TABLE (
    place bigint, request_id text, requested_at timestamptz, inclusion_probability float8, cell int, champion float8,
    champion_version int, champion_latency_ms float8, champion_probabilities float8[]
)
LANGUAGE plpgsql IMMUTABLE ROWS 8192 AS $$
BEGIN
    IF $8 IS NULL THEN
        RETURN QUERY SELECT a.place, a.id, a.moment, a.probability, a.cell, nullif(a.champion, 'NaN'), a.version,
            nullif(a.latency, 'NaN'), NULL::float8[]
        FROM unnest($1, $2, $3, $4, $5, $6, $7) WITH ORDINALITY
            AS a (id, moment, probability, cell, champion, version, latency, place);
    ELSE
        RETURN QUERY SELECT a.place, a.id, a.moment, a.probability, a.cell, nullif(a.champion, 'NaN'), a.version,
            nullif(a.latency, 'NaN'), CASE WHEN p.shares[1] <> 'NaN' THEN p.shares END
        FROM unnest($1, $2, $3, $4, $5, $6, $7) WITH ORDINALITY
            AS a (id, moment, probability, cell, champion, version, latency, place)
        JOIN (
            SELECT (u.place - 1) / array_length($8, 2) + 1 AS place, array_agg(u.share ORDER BY u.place) AS shares
            FROM unnest($8) WITH ORDINALITY AS u (share, place)
            GROUP BY 1
        ) AS p ON p.place = a.place;
    END IF;
END $$;

COMMENT ON FUNCTION shadow.requests_one_by_one IS 'the columns of a batch, a row for each request; the planner is told how many rows that are';

CREATE VIEW shadow.request AS
SELECT
    b.day, b.snapshot_id, (b.first_ordinal + a.place - 1)::int AS ordinal, a.request_id COLLATE "C" AS request_id,
    a.requested_at, a.inclusion_probability, a.cell, a.champion, s.champion_versions[a.champion_version] AS champion_version,
    a.champion_latency_ms, a.champion_probabilities
FROM shadow.request_batch AS b
JOIN shadow.snapshot AS s ON s.id = b.snapshot_id
CROSS JOIN LATERAL shadow.requests_one_by_one(
    b.request_id, b.requested_at, b.inclusion_probability, b.cell, b.champion, b.champion_version, b.champion_latency_ms,
    b.champion_probabilities
) AS a;

COMMENT ON VIEW shadow.request IS 'one sampled request, with what the champion answered';

CREATE OR REPLACE FUNCTION shadow.snapshot_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    found bigint;
BEGIN
    SELECT coalesce(sum(rows), 0) INTO found FROM shadow.request_batch
    WHERE day = NEW.day AND snapshot_id = NEW.id AND first_ordinal + rows <= NEW.rows;
    IF found <> NEW.rows THEN
        RAISE EXCEPTION 'snapshot % of % has % requests, must have %', NEW.id, NEW.day, found, NEW.rows
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
