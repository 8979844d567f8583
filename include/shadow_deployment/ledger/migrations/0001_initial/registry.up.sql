-- The registry: approval requests and decisions, promotions, and the champion that results.
CREATE TABLE shadow.approval_request (
    id                        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id             int NOT NULL REFERENCES shadow.deployment,
    challenger_id             int NOT NULL REFERENCES shadow.model_version,
    terms_digest              text NOT NULL,
    day                       date NOT NULL,
    promotion_request_digest  text NOT NULL,
    run_id                    text NOT NULL,
    created_at                timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT approval_request_is_made_once_per_run UNIQUE (deployment_id, run_id, promotion_request_digest)
);
COMMENT ON TABLE shadow.approval_request IS 'a promotion that somebody was asked to approve, or that the policy approves';
COMMENT ON COLUMN shadow.approval_request.terms_digest IS 'digest of model, champion, policy and sampling design: a rejection stands until one of them changes';
COMMENT ON COLUMN shadow.approval_request.run_id IS 'the run that requests approval; the same promotion request in the same run is the same approval request';

CREATE TABLE shadow.approval_decision (
    approval_request_id  bigint PRIMARY KEY REFERENCES shadow.approval_request,
    decision             text NOT NULL CHECK (decision IN ('approved', 'rejected', 'silence', 'changed')),
    decided_by           text,
    reason               text NOT NULL,
    decided_at           timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN shadow.approval_decision.decision IS 'silence: nobody decided in time; changed: the promotion request had changed when it was approved';

CREATE TABLE shadow.promotion (
    id                        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id             int NOT NULL REFERENCES shadow.deployment,
    number                    int NOT NULL CHECK (number > 0),
    previous                  int,
    kind                      text NOT NULL CHECK (kind IN ('promotion', 'rollback', 'forced')),
    undoes                    int,
    from_name                 text NOT NULL,
    from_version              text NOT NULL,
    from_digest               text,
    from_uri                  text,
    from_model_id             int REFERENCES shadow.model_version,
    to_name                   text NOT NULL,
    to_version                text NOT NULL,
    to_digest                 text,
    to_uri                    text,
    to_model_id               int REFERENCES shadow.model_version,
    verdict_id                bigint,
    day                       date,
    compared_with             text,
    outcome                   text,
    findings                  jsonb NOT NULL,
    input_digest              text,
    policy                    jsonb NOT NULL,
    overridden                jsonb NOT NULL,
    promotion_request_digest  text,
    code_version              text NOT NULL,
    approved_by               text NOT NULL CHECK (approved_by ~ '\S'),
    approved_at               timestamptz NOT NULL,
    reason                    text NOT NULL CHECK (reason ~ '\S'),
    database_user             text NOT NULL DEFAULT session_user,
    os_user                   text NOT NULL,
    created_at                timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (deployment_id, number),
    UNIQUE (deployment_id, undoes),
    UNIQUE (deployment_id, number, to_name, to_version),
    UNIQUE (deployment_id, number, from_name, from_version),
    CONSTRAINT promotion_follows_the_previous CHECK (number = coalesce(previous, 0) + 1),
    CONSTRAINT promotion_is_from_the_champion FOREIGN KEY (deployment_id, previous, from_name, from_version)
        REFERENCES shadow.promotion (deployment_id, number, to_name, to_version),
    CONSTRAINT rollback_is_from_what_it_undoes FOREIGN KEY (deployment_id, undoes, from_name, from_version)
        REFERENCES shadow.promotion (deployment_id, number, to_name, to_version),
    CONSTRAINT rollback_restores_what_was_before FOREIGN KEY (deployment_id, undoes, to_name, to_version)
        REFERENCES shadow.promotion (deployment_id, number, from_name, from_version),
    CONSTRAINT rollback_undoes CHECK ((kind = 'rollback') = (undoes IS NOT NULL) AND undoes < number),
    CONSTRAINT promotion_rests_on_a_pass CHECK (
        kind <> 'promotion' OR (verdict_id IS NOT NULL AND outcome IS NOT DISTINCT FROM 'PASS' AND overridden = '[]')
    ),
    CONSTRAINT promotion_is_of_a_known_model CHECK (
        kind = 'rollback' OR (to_model_id IS NOT NULL AND to_digest IS NOT NULL AND promotion_request_digest IS NOT NULL)
    )
);
COMMENT ON TABLE shadow.promotion IS 'append-only history of champions: each row replaces the champion of the row before it';
COMMENT ON COLUMN shadow.promotion.previous IS 'the newest number when this promotion was decided; two that follow the same one violate the unique number';
COMMENT ON COLUMN shadow.promotion.undoes IS 'the promotion that a rollback reverts; each can be reverted once';
COMMENT ON COLUMN shadow.promotion.from_version IS 'before the first promotion the version in production''s log';
COMMENT ON COLUMN shadow.promotion.compared_with IS 'the champion version that the verdict is against, as the log names it';
COMMENT ON COLUMN shadow.promotion.verdict_id IS 'checked on insert; a verdict is never changed or deleted';
COMMENT ON COLUMN shadow.promotion.approved_by IS 'the name that was given; database_user and os_user are who gave it';
COMMENT ON COLUMN shadow.promotion.overridden IS 'the objections that a forced promotion overrode';
COMMENT ON COLUMN shadow.promotion.created_at IS 'the clock, not the start of the transaction: one that waited for another is later than it';

CREATE FUNCTION shadow.promotion_rests_on_its_verdict() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.verdict_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM shadow.verdict AS v
        WHERE v.id = NEW.verdict_id AND v.deployment_id = NEW.deployment_id
          AND (v.day, v.outcome, v.input_digest) = (NEW.day, NEW.outcome, NEW.input_digest)
          AND (NEW.kind <> 'promotion' OR (v.challenger_id, v.champion_version) = (NEW.to_model_id, NEW.compared_with))
    ) THEN
        RAISE EXCEPTION 'promotion % is not as verdict % says', NEW.number, NEW.verdict_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER promotion_rests_on_its_verdict BEFORE INSERT ON shadow.promotion
    FOR EACH ROW EXECUTE FUNCTION shadow.promotion_rests_on_its_verdict();

CALL shadow.make_append_only(ARRAY['approval_request', 'approval_decision', 'promotion']);

CREATE VIEW shadow.champion AS
SELECT DISTINCT ON (p.deployment_id)
    d.name AS deployment, p.to_name AS name, p.to_version AS version, p.to_digest AS digest, p.to_uri AS uri,
    p.created_at AS since, p.approved_by, p.number
FROM shadow.promotion AS p
JOIN shadow.deployment AS d ON d.id = p.deployment_id
ORDER BY p.deployment_id, p.number DESC;
COMMENT ON VIEW shadow.champion IS 'for production: each deployment''s champion, none before the first promotion; grant SELECT on it and USAGE on the schema';
