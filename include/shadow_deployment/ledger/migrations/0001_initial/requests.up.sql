-- Sampled requests with the champion's predictions, as arrays of up to 8,192 requests per row: a row and an index entry
-- for each request took most of a day's time and space. The view shadow.request shows one row per request.
-- A day is sampled window by window, in any order; a daily schedule has one window a day. Requests are numbered as their
-- windows come. The view shadow.snapshot shows the days all of whose windows are there.
CREATE TABLE shadow.sampled_day (
    id             int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id  int NOT NULL REFERENCES shadow.deployment,
    day            date NOT NULL,
    design         text NOT NULL,
    window_start   timestamptz NOT NULL,
    window_end     timestamptz NOT NULL,
    location       text NOT NULL,
    source         text NOT NULL,
    UNIQUE (deployment_id, day, design),
    CHECK (window_start < window_end)
);
COMMENT ON TABLE shadow.sampled_day IS 'one day of which at least one window was sampled';
COMMENT ON COLUMN shadow.sampled_day.location IS 'the folder of the day''s Parquet files, in which each window has one';
COMMENT ON COLUMN shadow.sampled_day.source IS 'requests.table, by which days of other deployments on the same requests are found';

CREATE TABLE shadow.sampled_window (
    snapshot_id        int NOT NULL REFERENCES shadow.sampled_day,
    number             int NOT NULL CHECK (number > 0),
    window_start       timestamptz NOT NULL,
    window_end         timestamptz NOT NULL,
    population         bigint NOT NULL,
    first_ordinal      int NOT NULL CHECK (first_ordinal >= 0),
    rows               int NOT NULL CHECK (rows >= 0),
    first_shard        int NOT NULL CHECK (first_shard >= 0),
    shards             int NOT NULL CHECK (shards >= 0),
    digest             text NOT NULL,
    champion_versions  text[] NOT NULL,
    sampled_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (snapshot_id, number),
    UNIQUE (snapshot_id, window_start),
    CHECK (window_start < window_end),
    CHECK (population >= rows)
);
COMMENT ON TABLE shadow.sampled_window IS 'one window of sampled inputs; the inputs themselves are Parquet files';
COMMENT ON COLUMN shadow.sampled_window.number IS 'in the order in which the windows of a day were sampled, from 1';
COMMENT ON COLUMN shadow.sampled_window.champion_versions IS 'in the order of their last predictions in the window';

CREATE VIEW shadow.day_so_far AS
SELECT
    d.id, d.deployment_id, d.day, d.design, d.window_start, d.window_end, w.population, w.rows, w.shards, w.digest, d.location,
    d.source,
    CASE WHEN w.versions IS NOT NULL THEN w.versions ELSE ARRAY(
        SELECT v.version FROM shadow.sampled_window AS o CROSS JOIN LATERAL
            unnest(o.champion_versions) WITH ORDINALITY AS v (version, place)
        WHERE o.snapshot_id = d.id
        GROUP BY v.version
        ORDER BY max(ARRAY[extract(epoch FROM o.window_start), v.place])
    ) END AS champion_versions,
    CASE WHEN w.versions IS NOT NULL THEN w.versions ELSE ARRAY(
        SELECT v.version FROM shadow.sampled_window AS o CROSS JOIN LATERAL
            unnest(o.champion_versions) WITH ORDINALITY AS v (version, place)
        WHERE o.snapshot_id = d.id
        GROUP BY v.version
        ORDER BY min(ARRAY[o.number, v.place])
    ) END AS numbered_versions,
    w.windows, w.created_at, w.covered = d.window_end - d.window_start AS is_complete
FROM shadow.sampled_day AS d
CROSS JOIN LATERAL (
    SELECT
        sum(o.population)::bigint AS population, sum(o.rows)::int AS rows, sum(o.shards)::int AS shards,
        encode(sha256(string_agg(o.digest, ',' ORDER BY o.window_start)::bytea), 'hex') AS digest,
        CASE WHEN min(o.champion_versions) = max(o.champion_versions) THEN min(o.champion_versions) END AS versions,
        json_agg(json_build_array(o.window_start, o.window_end, o.first_ordinal, o.first_shard, o.shards, o.digest)
            ORDER BY o.number) AS windows,
        max(o.sampled_at) AS created_at, sum(o.window_end - o.window_start) AS covered
    FROM shadow.sampled_window AS o
    WHERE o.snapshot_id = d.id
) AS w;
COMMENT ON VIEW shadow.day_so_far IS 'each day with what its sampled windows add up to; is_complete says whether all are there';
COMMENT ON COLUMN shadow.day_so_far.windows IS 'start, end, first ordinal, first shard, shards and digest of each, in the order of their numbers';
COMMENT ON COLUMN shadow.day_so_far.champion_versions IS 'in the order of their last predictions';
COMMENT ON COLUMN shadow.day_so_far.numbered_versions IS 'the same in the order in which windows brought them: what shadow.request_batch refers to';
COMMENT ON COLUMN shadow.day_so_far.digest IS 'SHA-256 of the windows'' digests, in the order of time';

CREATE VIEW shadow.snapshot AS SELECT * FROM shadow.day_so_far WHERE is_complete;
COMMENT ON VIEW shadow.snapshot IS 'one day of sampled inputs, all of whose windows are there: what evidence is made of';

CREATE TABLE shadow.cell (
    snapshot_id  int NOT NULL REFERENCES shadow.sampled_day,
    cell         int NOT NULL,
    slices       jsonb NOT NULL,
    PRIMARY KEY (snapshot_id, cell)
);
COMMENT ON TABLE shadow.cell IS 'one combination of slice values that occurs in a snapshot: {"origin": "EWR", "carrier": "UA"}';

CREATE TABLE shadow.drift (
    snapshot_id         int NOT NULL REFERENCES shadow.sampled_day,
    feature             text NOT NULL,
    psi                 float8 CHECK (psi >= 0 AND psi < 'Infinity'),
    missing             float8 NOT NULL CHECK (missing BETWEEN 0 AND 1),
    requests            int NOT NULL CHECK (requests > 0),
    reference           int[] NOT NULL,
    reference_missing   float8 CHECK (reference_missing BETWEEN 0 AND 1),
    reference_requests  int CHECK (reference_requests > 0),
    ends                float8[],
    categories          text[],
    expected            float8[],
    actual              float8[],
    PRIMARY KEY (snapshot_id, feature),
    CHECK ((psi IS NULL) = (actual IS NULL)),
    CHECK (num_nonnulls(ends, categories) <= 1)
);
COMMENT ON TABLE shadow.drift IS 'append-only: how far a day''s values of one feature are from those of the first sampled days; no verdict reads it';
COMMENT ON COLUMN shadow.drift.psi IS 'population stability index; null without a reference, or where one of the two has no value';
COMMENT ON COLUMN shadow.drift.missing IS 'share of the day''s weight that has no value';
COMMENT ON COLUMN shadow.drift.requests IS 'how many requests were looked at: all of a day, or every n-th of a large one';
COMMENT ON COLUMN shadow.drift.reference IS 'the snapshots of the first days, at most 14; empty for the first day';
COMMENT ON COLUMN shadow.drift.ends IS 'numbers: where the reference''s bins end, the last without an end';
COMMENT ON COLUMN shadow.drift.categories IS 'texts: the reference''s most frequent values; all others are one more bin';
COMMENT ON COLUMN shadow.drift.expected IS 'the share of the reference''s weight in each bin';
COMMENT ON COLUMN shadow.drift.actual IS 'the share of the day''s weight in each bin; days of one reference may be added up';

CREATE TABLE shadow.own_features (
    folder       text PRIMARY KEY,
    snapshot_id  int NOT NULL REFERENCES shadow.sampled_day,
    digest       text NOT NULL
);
COMMENT ON TABLE shadow.own_features IS 'append-only: features of challengers'' own of one window, which are Parquet files; one line for each features_from';
COMMENT ON COLUMN shadow.own_features.folder IS 'where they are, below the window''s; an erasure writes them into another';

CALL shadow.make_append_only(ARRAY['drift', 'own_features']);
CALL shadow.make_append_only(ARRAY['sampled_day', 'sampled_window'], but_for_removal => true);

-- Whole arrays are compared, not one row per element, which took longer than the insert itself. A comparison with ALL
-- elements is null where one of them is null.
CREATE FUNCTION shadow.requests_are_valid(
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
COMMENT ON FUNCTION shadow.requests_are_valid IS 'only an id may be null, inclusion probabilities are above 0 and at most 1, and no prediction is infinite';

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
    label_key               text[] CHECK (cardinality(label_key) = rows),
    PRIMARY KEY (day, snapshot_id, first_ordinal),
    CONSTRAINT requests_are_valid CHECK (shadow.requests_are_valid(
        rows, request_id, requested_at, inclusion_probability, cell, champion, champion_version, champion_latency_ms,
        champion_probabilities))
) PARTITION BY LIST (day);
ALTER TABLE shadow.request_batch
    ALTER request_id SET STORAGE EXTERNAL, ALTER requested_at SET STORAGE EXTERNAL,
    ALTER inclusion_probability SET STORAGE EXTERNAL, ALTER cell SET STORAGE EXTERNAL, ALTER champion SET STORAGE EXTERNAL,
    ALTER champion_version SET STORAGE EXTERNAL, ALTER champion_latency_ms SET STORAGE EXTERNAL,
    ALTER champion_probabilities SET STORAGE EXTERNAL,
    ALTER label_key SET STORAGE EXTERNAL;
COMMENT ON TABLE shadow.request_batch IS 'consecutive requests of a snapshot, in the order of the draw; shadow.request shows one row per request';
COMMENT ON COLUMN shadow.request_batch.champion IS 'the champion''s prediction, NaN where it gave none';
COMMENT ON COLUMN shadow.request_batch.label_key IS 'by what a request''s label is looked up in place of its id; requests of one key share a label';
COMMENT ON COLUMN shadow.request_batch.champion_version IS 'index into the day''s numbered_versions, from 1';
COMMENT ON COLUMN shadow.request_batch.champion_latency_ms IS 'NaN where unknown';

CREATE FUNCTION shadow.unnest_requests(text[], timestamptz[], float8[], int[], float8[], int[], float8[], float8[])
RETURNS TABLE (
    place bigint, request_id text, requested_at timestamptz, inclusion_probability float8, cell int, champion float8,
    champion_version int, champion_latency_ms float8, champion_probabilities float8[]
)
LANGUAGE plpgsql IMMUTABLE ROWS 8192 AS $$
BEGIN
    RETURN QUERY SELECT a.place, a.id, a.moment, a.probability, a.cell, nullif(a.champion, 'NaN'), a.version,
        nullif(a.latency, 'NaN'),
        CASE WHEN $8[a.place::int][1] <> 'NaN' THEN
            ARRAY(SELECT $8[a.place::int][k] FROM generate_series(1, array_length($8, 2)) AS k) END
    FROM unnest($1, $2, $3, $4, $5, $6, $7) WITH ORDINALITY
        AS a (id, moment, probability, cell, champion, version, latency, place);
END $$;
COMMENT ON FUNCTION shadow.unnest_requests IS 'the columns of a batch, one row per request; a function, so that the planner knows how many rows to expect';

CREATE VIEW shadow.request AS
SELECT
    b.day, b.snapshot_id, (b.first_ordinal + a.place - 1)::int AS ordinal, a.request_id COLLATE "C" AS request_id,
    a.requested_at, a.inclusion_probability, a.cell, a.champion, s.numbered_versions[a.champion_version] AS champion_version,
    a.champion_latency_ms, a.champion_probabilities
FROM shadow.request_batch AS b
JOIN shadow.day_so_far AS s ON s.id = b.snapshot_id
CROSS JOIN LATERAL shadow.unnest_requests(
    b.request_id, b.requested_at, b.inclusion_probability, b.cell, b.champion, b.champion_version, b.champion_latency_ms,
    b.champion_probabilities
) AS a;
COMMENT ON VIEW shadow.request IS 'one sampled request with the champion''s prediction';

CREATE FUNCTION shadow.window_is_complete() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    whole shadow.sampled_day := (SELECT d FROM shadow.sampled_day AS d WHERE d.id = NEW.snapshot_id);
    stored bigint;
BEGIN
    SELECT coalesce(sum(rows), 0) INTO stored FROM shadow.request_batch
    WHERE day = whole.day AND snapshot_id = NEW.snapshot_id
      AND first_ordinal >= NEW.first_ordinal AND first_ordinal + rows <= NEW.first_ordinal + NEW.rows;
    IF stored <> NEW.rows THEN
        RAISE EXCEPTION 'window % of snapshot % of % has % requests, must have %',
            NEW.number, NEW.snapshot_id, whole.day, stored, NEW.rows
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.window_start < whole.window_start OR NEW.window_end > whole.window_end OR EXISTS (
        SELECT FROM shadow.sampled_window AS o
        WHERE o.snapshot_id = NEW.snapshot_id AND o.number <> NEW.number
          AND o.window_start < NEW.window_end AND NEW.window_start < o.window_end
    ) THEN
        RAISE EXCEPTION 'window % of snapshot % lies outside % or overlaps another', NEW.number, NEW.snapshot_id, whole.day
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.first_ordinal, NEW.first_shard) <> (
        SELECT coalesce(sum(o.rows), 0), coalesce(sum(o.shards), 0) FROM shadow.sampled_window AS o
        WHERE o.snapshot_id = NEW.snapshot_id AND o.number < NEW.number
    ) THEN
        RAISE EXCEPTION 'window % of snapshot % does not go on where the ones before end', NEW.number, NEW.snapshot_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER window_is_complete AFTER INSERT ON shadow.sampled_window
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shadow.window_is_complete();
