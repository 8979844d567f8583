-- Alerts and every attempt to deliver them; neither decides a verdict.
CREATE TABLE shadow.alert (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id  int NOT NULL REFERENCES shadow.deployment,
    day            date NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('failed', 'recovered', 'late', 'asked', 'promoted', 'rolled_back', 'not_served')),
    signature      text NOT NULL,
    content        jsonb NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (deployment_id, day, kind, signature)
);
COMMENT ON TABLE shadow.alert IS 'what is to be delivered: a gate that failed or recovered, a late day, a promotion';
COMMENT ON COLUMN shadow.alert.signature IS 'digest of the subject, for deduplication within a day';

CREATE TABLE shadow.delivery (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id       bigint NOT NULL REFERENCES shadow.alert,
    channel        text NOT NULL,
    error          text,
    attempted_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE shadow.delivery IS 'one attempt to deliver an alert to a channel; error is null where it succeeded';

CREATE UNIQUE INDEX delivery_arrives_once ON shadow.delivery (alert_id, channel) WHERE error IS NULL;

CREATE INDEX delivery_by_alert ON shadow.delivery (alert_id, channel);

CALL shadow.make_append_only(ARRAY['alert', 'delivery']);
