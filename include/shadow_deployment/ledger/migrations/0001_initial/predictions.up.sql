-- The challengers' predictions, as arrays like the requests. The view shadow.prediction shows one row per request.
CREATE FUNCTION shadow.predictions_are_valid(rows int, value float8[], error text[], latency_ms float8[], probabilities float8[])
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(cardinality(value) = rows AND cardinality(latency_ms) = rows AND '-Infinity' < ALL (value), false)
        AND (error IS NULL OR cardinality(error) = rows)
        AND (probabilities IS NULL OR array_length(probabilities, 1) IS NOT DISTINCT FROM rows)
        AND array_position(latency_ms, NULL) IS NULL
        AND CASE WHEN error IS NULL THEN 'Infinity' > ALL (value)  -- NaN sorts above infinity
            ELSE 'Infinity' <> ALL (value)
                AND NOT EXISTS (SELECT FROM unnest(value, error) AS a (v, e) WHERE (a.v = 'NaN') = (a.e IS NULL)) END
$$;
COMMENT ON FUNCTION shadow.predictions_are_valid IS 'every request has either a finite value or an error';

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
    CONSTRAINT predictions_are_valid CHECK (shadow.predictions_are_valid(rows, value, error, latency_ms, probabilities))
) PARTITION BY LIST (day);
ALTER TABLE shadow.prediction_batch
    ALTER value SET STORAGE EXTERNAL, ALTER latency_ms SET STORAGE EXTERNAL, ALTER probabilities SET STORAGE EXTERNAL;
COMMENT ON TABLE shadow.prediction_batch IS 'one challenger''s predictions for consecutive requests, stored once; shadow.prediction shows one row per request';
COMMENT ON COLUMN shadow.prediction_batch.value IS 'the predictions in the order of the draw, NaN where there is an error';
COMMENT ON COLUMN shadow.prediction_batch.latency_ms IS 'NaN where unknown';
COMMENT ON COLUMN shadow.prediction_batch.error IS 'null where the batch has no error';
COMMENT ON COLUMN shadow.prediction_batch.probabilities IS 'multiclass: one row per request, one column per class, null where the batch has no prediction; value is the most likely class, from 0';

CREATE TABLE shadow.scoring (
    snapshot_id    int NOT NULL REFERENCES shadow.sampled_day,
    challenger_id  int NOT NULL REFERENCES shadow.model_version,
    shard          int NOT NULL,
    first_ordinal  int NOT NULL,
    rows           int NOT NULL CHECK (rows > 0),
    errors         int NOT NULL CHECK (errors BETWEEN 0 AND rows),
    scored_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (snapshot_id, challenger_id, shard)
);
COMMENT ON TABLE shadow.scoring IS 'one scored shard, written in the transaction of its predictions';

CREATE FUNCTION shadow.unnest_predictions(float8[], text[], float8[], float8[])
RETURNS TABLE (place bigint, value float8, error text, latency_ms float8, probabilities float8[])
LANGUAGE plpgsql IMMUTABLE ROWS 8192 AS $$
BEGIN
    RETURN QUERY SELECT a.place, nullif(a.value, 'NaN'), a.error, nullif(a.latency_ms, 'NaN'),
        CASE WHEN a.error IS NULL AND $4 IS NOT NULL THEN
            ARRAY(SELECT $4[a.place::int][k] FROM generate_series(1, array_length($4, 2)) AS k) END
    FROM unnest($1, $2, $3) WITH ORDINALITY AS a (value, error, latency_ms, place);
END $$;
COMMENT ON FUNCTION shadow.unnest_predictions IS 'value, error, latency and probabilities of a batch, one row per request';

CREATE VIEW shadow.prediction AS
SELECT
    b.day, b.snapshot_id, b.challenger_id, (b.first_ordinal + a.place - 1)::int AS ordinal, a.value, a.error, a.latency_ms,
    a.probabilities
FROM shadow.prediction_batch AS b
CROSS JOIN LATERAL shadow.unnest_predictions(b.value, b.error, b.latency_ms, b.probabilities) AS a;
COMMENT ON VIEW shadow.prediction IS 'one challenger''s prediction for one request: a value or an error';
COMMENT ON COLUMN shadow.prediction.probabilities IS 'multiclass: of each class; value is then the most likely class, from 0';

CREATE FUNCTION shadow.shard_is_complete() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stored bigint;
    the_day date := (SELECT day FROM shadow.sampled_day WHERE id = NEW.snapshot_id);
BEGIN
    SELECT coalesce(sum(rows), 0) INTO stored FROM shadow.prediction_batch
    WHERE day = the_day AND snapshot_id = NEW.snapshot_id AND challenger_id = NEW.challenger_id
      AND first_ordinal >= NEW.first_ordinal AND first_ordinal + rows <= NEW.first_ordinal + NEW.rows;
    IF stored <> NEW.rows THEN
        RAISE EXCEPTION 'shard % of snapshot % has % predictions, must have %', NEW.shard, NEW.snapshot_id, stored, NEW.rows
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER shard_is_complete AFTER INSERT ON shadow.scoring
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shadow.shard_is_complete();
