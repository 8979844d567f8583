-- Who was asked to approve what, and what was told to whom: both are history, neither decides a verdict.
-- Statements are separated by an empty line after the semicolon.

CREATE TABLE shadow.question (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id  int NOT NULL REFERENCES shadow.deployment,
    challenger_id  int NOT NULL REFERENCES shadow.model_version,
    topic          text NOT NULL,
    day            date NOT NULL,
    case_digest    text NOT NULL,
    run_id         text NOT NULL,
    asked_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (deployment_id, run_id, case_digest)
);

COMMENT ON TABLE shadow.question IS 'a promotion that somebody was asked to approve, or that was approved by policy';

COMMENT ON COLUMN shadow.question.topic IS 'digest of what is asked about: a rejected topic is not asked about again';

COMMENT ON COLUMN shadow.question.run_id IS 'the run that asks: asking about the same case again in it is the same question';

CREATE TABLE shadow.answer (
    question_id    bigint PRIMARY KEY REFERENCES shadow.question,
    answer         text NOT NULL CHECK (answer IN ('approved', 'rejected', 'silence', 'changed')),
    answered_by    text,
    reason         text NOT NULL,
    answered_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON COLUMN shadow.answer.answer IS 'silence: nobody answered in time; changed: the case was another when it was approved';

CREATE TRIGGER question_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON shadow.question
    FOR EACH STATEMENT EXECUTE FUNCTION shadow.refuse_change();

CREATE TRIGGER answer_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON shadow.answer
    FOR EACH STATEMENT EXECUTE FUNCTION shadow.refuse_change();

CREATE TABLE shadow.alert (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id  int NOT NULL REFERENCES shadow.deployment,
    day            date NOT NULL,
    kind           text NOT NULL
        CHECK (kind IN ('failed', 'recovered', 'late', 'asked', 'promoted', 'rolled_back')),
    signature      text NOT NULL,
    content        jsonb NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (deployment_id, day, kind, signature)
);

COMMENT ON TABLE shadow.alert IS 'what was to be told: a gate that failed, one that recovered, a day that is late, a promotion';

COMMENT ON COLUMN shadow.alert.signature IS 'digest of what it is about: the same one of a day is told once';

CREATE TABLE shadow.delivery (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id       bigint NOT NULL REFERENCES shadow.alert,
    channel        text NOT NULL,
    error          text,
    attempted_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE shadow.delivery IS 'every attempt to tell an alert to a channel; error is null where it arrived';

CREATE UNIQUE INDEX delivery_arrives_once ON shadow.delivery (alert_id, channel) WHERE error IS NULL;

CREATE TRIGGER alert_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON shadow.alert
    FOR EACH STATEMENT EXECUTE FUNCTION shadow.refuse_change();

CREATE TRIGGER delivery_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON shadow.delivery
    FOR EACH STATEMENT EXECUTE FUNCTION shadow.refuse_change();
