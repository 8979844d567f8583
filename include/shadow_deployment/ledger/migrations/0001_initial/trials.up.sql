-- Trials: what evidence belongs to. One challenger version against one champion version on fixed terms.
CREATE TABLE shadow.trial (
    id                int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id     int NOT NULL REFERENCES shadow.deployment,
    number            int NOT NULL CHECK (number > 0),
    kind              text NOT NULL CHECK (kind IN ('challenger', 'a_a_check', 'former_champion')),
    challenger_id     int NOT NULL REFERENCES shadow.model_version,
    champion_version  text NOT NULL,
    terms             jsonb NOT NULL,
    terms_digest      text NOT NULL,
    rules_digest      text NOT NULL,
    start             date NOT NULL,
    batch             int CHECK (batch > 0),
    place             int CHECK (place > 0),
    alpha             float8 NOT NULL CHECK (alpha > 0 AND alpha < 1),
    opened_because    text NOT NULL,
    opened_at         timestamptz NOT NULL,
    UNIQUE (deployment_id, number),
    CONSTRAINT trial_of_a_batch_has_a_place CHECK ((batch IS NULL) = (place IS NULL) AND (batch IS NULL OR kind = 'challenger'))
);
COMMENT ON TABLE shadow.trial IS 'append-only: a change of its terms opens another; days seen before it was opened never count in it';
COMMENT ON COLUMN shadow.trial.terms IS 'sampling design, requests, labels, input suite and blocking rules';
COMMENT ON COLUMN shadow.trial.start IS 'first day of the deployment when the trial was opened';
COMMENT ON COLUMN shadow.trial.batch IS 'trials that were opened together and share alpha, numbered from 1; null where a trial spends none';
COMMENT ON COLUMN shadow.trial.place IS 'of the batch among those of the 365 days before, since the newest promotion that stood';
COMMENT ON COLUMN shadow.trial.alpha IS 'error probability toward PASS over all days; spent, whatever becomes of the trial';
COMMENT ON COLUMN shadow.trial.opened_at IS 'a day is live where its window starts at or after it';

CREATE INDEX trial_by_terms ON shadow.trial (challenger_id, champion_version, terms_digest);

CREATE TABLE shadow.trial_training (
    trial_id       int PRIMARY KEY REFERENCES shadow.trial,
    trained_until  date NOT NULL,
    declared_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE shadow.trial_training IS 'last day of a challenger''s training data, as first declared';

CREATE TABLE shadow.newer_versions (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id  int NOT NULL REFERENCES shadow.deployment,
    challenger     text NOT NULL,
    waiting        text NOT NULL,
    seen_at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE shadow.newer_versions IS 'append-only: which newer versions of a model that is followed in MLflow wait, and why; empty where none does';

CREATE TABLE shadow.withdrawal (
    deployment_id  int NOT NULL REFERENCES shadow.deployment,
    day            date NOT NULL,
    reason         text NOT NULL CHECK (reason ~ '\S'),
    withdrawn_by   text NOT NULL CHECK (withdrawn_by ~ '\S'),
    withdrawn_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (deployment_id, day)
);
COMMENT ON TABLE shadow.withdrawal IS 'days taken back by hand; each is left out of the evidence, and named by every verdict';

CREATE TABLE shadow.acknowledgement (
    deployment_id    int NOT NULL REFERENCES shadow.deployment,
    digest           text NOT NULL,
    version          text NOT NULL,
    alarm            text NOT NULL CHECK (alarm IN ('loss', 'auc', 'same_as_champion', 'same_as_challenger', 'replayed', 'regression')),
    reason           text NOT NULL CHECK (reason ~ '\S'),
    acknowledged_by  text NOT NULL CHECK (acknowledged_by ~ '\S'),
    acknowledged_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (deployment_id, digest, version, alarm, acknowledged_at)
);
COMMENT ON TABLE shadow.acknowledgement IS 'a model that is too good to be true (PASS is refused without), or better than its successor, as a person has looked into it';
COMMENT ON COLUMN shadow.acknowledgement.version IS 'a server''s model is identified by its address and this';

CALL shadow.make_append_only(ARRAY['trial', 'trial_training', 'newer_versions', 'withdrawal', 'acknowledgement']);
