-- The ledger of shadow deployments: what was drawn, answered, labelled, compared and judged.
-- Statements are separated by an empty line after the semicolon.

CREATE TABLE shadow.deployment (
    id          int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    task        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE shadow.model_version (
    id             int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id  int NOT NULL REFERENCES shadow.deployment,
    name           text NOT NULL,
    version        text NOT NULL,
    uri            text NOT NULL,
    digest         text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    UNIQUE (deployment_id, name, version, digest)
);

COMMENT ON TABLE shadow.model_version IS 'a challenger as it was scored: evidence belongs to one digest';

CREATE TABLE shadow.snapshot (
    id                 int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id      int NOT NULL REFERENCES shadow.deployment,
    day                date NOT NULL,
    design             text NOT NULL,
    window_start       timestamptz NOT NULL,
    window_end         timestamptz NOT NULL,
    population         bigint NOT NULL,
    rows               int NOT NULL CHECK (rows >= 0),
    shards             int NOT NULL CHECK (shards >= 0),
    digest             text NOT NULL,
    location           text NOT NULL,
    champion_versions  text[] NOT NULL,
    labels_until       timestamptz,
    label_revision     int NOT NULL DEFAULT 0,
    labelled           int NOT NULL DEFAULT 0,
    contradicted       int NOT NULL DEFAULT 0,
    created_at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (deployment_id, day, design),
    CHECK (window_start < window_end),
    CHECK (population >= rows),
    CHECK (labelled >= 0 AND contradicted >= 0 AND labelled + contradicted <= rows)
);

COMMENT ON TABLE shadow.snapshot IS 'one day of sampled inputs; the inputs themselves lie as Parquet at location';

COMMENT ON COLUMN shadow.snapshot.labels_until IS 'labels that became known up to here have been collected';

COMMENT ON COLUMN shadow.snapshot.label_revision IS 'grows by one whenever labels are added: what was compared before is stale';

CREATE TABLE shadow.cell (
    snapshot_id  int NOT NULL REFERENCES shadow.snapshot,
    cell         int NOT NULL,
    slices       jsonb NOT NULL,
    PRIMARY KEY (snapshot_id, cell)
);

COMMENT ON TABLE shadow.cell IS 'one combination of slice values that occurs in a snapshot: {"origin": "EWR", "carrier": "UA"}';

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

CREATE TABLE shadow.scoring (
    snapshot_id    int NOT NULL REFERENCES shadow.snapshot,
    challenger_id  int NOT NULL REFERENCES shadow.model_version,
    shard          int NOT NULL,
    first_ordinal  int NOT NULL,
    rows           int NOT NULL CHECK (rows > 0),
    errors         int NOT NULL CHECK (errors BETWEEN 0 AND rows),
    scored_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (snapshot_id, challenger_id, shard)
);

COMMENT ON TABLE shadow.scoring IS 'a shard that was scored: written in one transaction with its predictions';

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

CREATE TABLE shadow.validation (
    snapshot_id    int NOT NULL REFERENCES shadow.snapshot,
    challenger_id  int REFERENCES shadow.model_version,
    success        boolean NOT NULL,
    suite          text NOT NULL,
    evaluated      int NOT NULL,
    failures       jsonb NOT NULL,
    validated_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (snapshot_id, challenger_id)
);

COMMENT ON COLUMN shadow.validation.challenger_id IS 'whose predictions were validated; null for the inputs';

CREATE TABLE shadow.parity (
    snapshot_id  int PRIMARY KEY REFERENCES shadow.snapshot,
    digest       text NOT NULL,
    tolerance    float8 NOT NULL,
    checked      int NOT NULL CHECK (checked >= 0),
    mismatched   int NOT NULL CHECK (mismatched BETWEEN 0 AND checked),
    largest      float8 NOT NULL,
    worst        jsonb NOT NULL,
    checked_at   timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE shadow.parity IS 'the champion''s own model on requests of the snapshot, beside what it had logged';

CREATE TABLE shadow.calibration (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id  int NOT NULL REFERENCES shadow.deployment,
    challenger_id  int NOT NULL REFERENCES shadow.model_version,
    policy         jsonb NOT NULL,
    warning        text,
    result         jsonb NOT NULL,
    calibrated_at  timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE shadow.calibration IS 'how often a policy would err on a deployment''s own history';

CREATE TABLE shadow.comparison (
    snapshot_id     int NOT NULL REFERENCES shadow.snapshot,
    challenger_id   int NOT NULL REFERENCES shadow.model_version,
    label_revision  int NOT NULL,
    statement       text NOT NULL,
    compared_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (snapshot_id, challenger_id)
);

COMMENT ON TABLE shadow.comparison IS 'what a day''s evidence rests on; another label revision or statement makes it stale';

CREATE TABLE shadow.evidence (
    deployment_id             int NOT NULL REFERENCES shadow.deployment,
    day                       date NOT NULL,
    snapshot_id               int NOT NULL REFERENCES shadow.snapshot,
    challenger_id             int NOT NULL REFERENCES shadow.model_version,
    champion_version          text NOT NULL,
    slice_column              text NOT NULL,
    slice_value               text NOT NULL,
    metric                    text NOT NULL,
    requests                  int NOT NULL CHECK (requests >= 0),
    labelled                  int NOT NULL CHECK (labelled BETWEEN 0 AND requests),
    pairs                     int NOT NULL CHECK (pairs BETWEEN 0 AND requests),
    identical                 int NOT NULL CHECK (identical BETWEEN 0 AND pairs),
    weight                    float8 NOT NULL,
    weight_squares            float8 NOT NULL,
    champion_sum              float8 NOT NULL,
    champion_squares          float8 NOT NULL,
    challenger_sum            float8 NOT NULL,
    challenger_squares        float8 NOT NULL,
    difference_sum            float8 NOT NULL,
    difference_squares        float8 NOT NULL,
    difference_sum_weighted   float8 NOT NULL,
    difference_squares_weighted  float8 NOT NULL,
    computed_at               timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (snapshot_id, challenger_id, champion_version, slice_column, slice_value, metric)
);

COMMENT ON TABLE shadow.evidence IS 'sums over the pairs of a day and slice, each weighted by the inverse inclusion probability; rows of days and slices may be added up';

COMMENT ON COLUMN shadow.evidence.difference_sum_weighted IS 'sum of squared weight times difference, for the variance of the weighted mean';

CREATE INDEX evidence_by_challenger ON shadow.evidence (challenger_id, metric, slice_column, day);

CREATE TABLE shadow.verdict (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id     int NOT NULL REFERENCES shadow.deployment,
    day               date NOT NULL,
    challenger_id     int NOT NULL REFERENCES shadow.model_version,
    champion_version  text NOT NULL,
    design            text NOT NULL,
    outcome           text NOT NULL CHECK (outcome IN ('PASS', 'FAIL', 'INCONCLUSIVE')),
    reasons           jsonb NOT NULL,
    warnings          jsonb NOT NULL,
    findings          jsonb NOT NULL,
    policy            jsonb NOT NULL,
    explanation       text NOT NULL,
    input_digest      text NOT NULL,
    code_version      text NOT NULL,
    revision          int NOT NULL,
    judged_at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (deployment_id, day, challenger_id, revision)
);

COMMENT ON TABLE shadow.verdict IS 'history: a day judged again on other evidence or by another policy is another revision';

CREATE FUNCTION shadow.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'shadow.% is append-only: % is refused', TG_TABLE_NAME, TG_OP;
END $$;

CREATE TRIGGER verdict_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON shadow.verdict
    FOR EACH STATEMENT EXECUTE FUNCTION shadow.refuse_change();

CREATE FUNCTION shadow.snapshot_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE CONSTRAINT TRIGGER snapshot_is_whole AFTER INSERT ON shadow.snapshot
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shadow.snapshot_is_whole();

CREATE FUNCTION shadow.shard_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE CONSTRAINT TRIGGER shard_is_whole AFTER INSERT ON shadow.scoring
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shadow.shard_is_whole();

CREATE FUNCTION shadow.ensure_partitions(the_day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    child text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['request', 'prediction', 'label'] LOOP
        child := parent || '_' || to_char(the_day, 'YYYYMMDD');
        IF to_regclass('shadow.' || child) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('shadow.partitions', 0));
            EXECUTE format('CREATE TABLE IF NOT EXISTS shadow.%I PARTITION OF shadow.%I FOR VALUES IN (%L)', child, parent, the_day);
        END IF;
    END LOOP;
END $$;

COMMENT ON FUNCTION shadow.ensure_partitions IS 'one partition a day, so that old rows go by dropping a table'
