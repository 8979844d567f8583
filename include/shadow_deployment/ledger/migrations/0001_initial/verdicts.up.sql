-- Verdicts, and the checks that they take into account: expectations, replay checks, calibrations.
CREATE TABLE shadow.validation (
    snapshot_id    int NOT NULL REFERENCES shadow.sampled_day,
    challenger_id  int REFERENCES shadow.model_version,
    revision       int NOT NULL CHECK (revision > 0),
    digest         text NOT NULL,
    success        boolean NOT NULL,
    suite          text NOT NULL,
    evaluated      int NOT NULL,
    failures       jsonb NOT NULL,
    validated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (snapshot_id, challenger_id, revision)
);
COMMENT ON TABLE shadow.validation IS 'append-only: another result is another revision';
COMMENT ON COLUMN shadow.validation.challenger_id IS 'whose predictions were validated; null for the inputs';

CREATE VIEW shadow.newest_validation AS
SELECT v.*
FROM shadow.validation AS v
WHERE NOT EXISTS (
    SELECT FROM shadow.validation AS later
    WHERE later.snapshot_id = v.snapshot_id AND later.challenger_id IS NOT DISTINCT FROM v.challenger_id
      AND later.revision > v.revision
);
COMMENT ON VIEW shadow.newest_validation IS 'the newest result of each validation';

CREATE TABLE shadow.replay_check (
    snapshot_id  int NOT NULL REFERENCES shadow.sampled_day,
    revision     int NOT NULL CHECK (revision > 0),
    digest       text NOT NULL,
    model        text NOT NULL,
    tolerance    float8 NOT NULL,
    checked      int NOT NULL CHECK (checked >= 0),
    mismatched   int NOT NULL CHECK (mismatched BETWEEN 0 AND checked),
    largest      float8 NOT NULL,
    worst        jsonb NOT NULL,
    checked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (snapshot_id, revision)
);
COMMENT ON TABLE shadow.replay_check IS 'append-only: the champion''s own model file on requests of the snapshot, compared with its logged predictions';
COMMENT ON COLUMN shadow.replay_check.model IS 'digest of the model file';

CREATE VIEW shadow.newest_replay_check AS
SELECT DISTINCT ON (snapshot_id) * FROM shadow.replay_check ORDER BY snapshot_id, revision DESC;

CREATE TABLE shadow.calibration (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id  int NOT NULL REFERENCES shadow.deployment,
    challenger_id  int NOT NULL REFERENCES shadow.model_version,
    policy         jsonb NOT NULL,
    warning        text,
    result         jsonb NOT NULL,
    calibrated_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE shadow.calibration IS 'how often a policy would err on a deployment''s own history';

CREATE TABLE shadow.verification (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id  int NOT NULL REFERENCES shadow.deployment,
    verified       json NOT NULL,
    days           date[],
    is_complete    boolean NOT NULL,
    difference     text,
    verified_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE shadow.verification IS 'append-only: what shadow verify and the doctor found when they computed again what verdicts rest on';
COMMENT ON COLUMN shadow.verification.verified IS 'how many of each kind were as they were written';
COMMENT ON COLUMN shadow.verification.days IS 'the days that were verified; null for every day';
COMMENT ON COLUMN shadow.verification.difference IS 'the first that differs; null where none does';

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
    blocked           jsonb NOT NULL,
    alpha             float8 NOT NULL,
    counted_evidence  bigint[] NOT NULL,
    shown_evidence    bigint[] NOT NULL,
    policy            jsonb NOT NULL,
    explanation       text NOT NULL,
    input_digest      text NOT NULL,
    code_version      text NOT NULL,
    revision          int NOT NULL,
    judged_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (deployment_id, day, challenger_id, revision)
);
COMMENT ON TABLE shadow.verdict IS 'append-only: a day judged again on other evidence or by another policy is a new revision';

COMMENT ON COLUMN shadow.verdict.trial_id IS 'null before the champion''s first request';
COMMENT ON COLUMN shadow.verdict.days IS 'how many days counted, wait for labels, were replayed or live, and which were left out';

COMMENT ON COLUMN shadow.verdict.counted_evidence IS 'keys of the rows of shadow.evidence_batch that it rests on';
COMMENT ON COLUMN shadow.verdict.shown_evidence IS 'the same with replayed days, which inform and may make it FAIL; empty where there are none';
COMMENT ON COLUMN shadow.verdict.input_digest IS 'digest of all that it depends on, the figures of the evidence among them';

CREATE INDEX verdict_by_challenger ON shadow.verdict (challenger_id, day);

CALL shadow.make_append_only(ARRAY['verdict', 'calibration']);
CALL shadow.make_append_only(ARRAY['validation', 'verification', 'replay_check'], but_for_removal => true);
