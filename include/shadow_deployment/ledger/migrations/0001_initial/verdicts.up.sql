-- Verdicts, and the checks that they take into account: expectations, replay checks, calibrations.
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

CREATE TABLE shadow.replay_check (
    snapshot_id  int PRIMARY KEY REFERENCES shadow.snapshot,
    digest       text NOT NULL,
    tolerance    float8 NOT NULL,
    checked      int NOT NULL CHECK (checked >= 0),
    mismatched   int NOT NULL CHECK (mismatched BETWEEN 0 AND checked),
    largest      float8 NOT NULL,
    worst        jsonb NOT NULL,
    checked_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE shadow.replay_check IS 'the champion''s own model file on requests of the snapshot, compared with its logged predictions';

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

CREATE TABLE shadow.verdict (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id     int NOT NULL REFERENCES shadow.deployment,
    day               date NOT NULL,
    challenger_id     int NOT NULL REFERENCES shadow.model_version,
    champion_version  text NOT NULL,
    design            text NOT NULL,
    trial_id          int REFERENCES shadow.trial,
    days              jsonb NOT NULL,
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
COMMENT ON TABLE shadow.verdict IS 'append-only: a day judged again on other evidence or by another policy is a new revision';

COMMENT ON COLUMN shadow.verdict.trial_id IS 'null before the champion''s first request';
COMMENT ON COLUMN shadow.verdict.days IS 'how many days counted, wait for labels, were replayed or live, and which were left out';

CREATE INDEX verdict_by_challenger ON shadow.verdict (challenger_id, day);

CREATE TRIGGER verdict_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON shadow.verdict
    FOR EACH STATEMENT EXECUTE FUNCTION shadow.refuse_change();
