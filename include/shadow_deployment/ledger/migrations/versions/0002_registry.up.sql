-- The registry: which model version is champion, and what each change of it rests on.
-- Statements are separated by an empty line after the semicolon.

CREATE TABLE shadow.promotion (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    deployment_id  int NOT NULL REFERENCES shadow.deployment,
    number         int NOT NULL CHECK (number > 0),
    previous       int,
    kind           text NOT NULL CHECK (kind IN ('promotion', 'rollback', 'forced')),
    undoes         int,
    from_name      text NOT NULL,
    from_version   text NOT NULL,
    from_digest    text,
    from_uri       text,
    from_model_id  int REFERENCES shadow.model_version,
    to_name        text NOT NULL,
    to_version     text NOT NULL,
    to_digest      text,
    to_uri         text,
    to_model_id    int REFERENCES shadow.model_version,
    verdict_id     bigint,
    day            date,
    compared_with  text,
    outcome        text,
    findings       jsonb NOT NULL,
    input_digest   text,
    policy         jsonb NOT NULL,
    overridden     jsonb NOT NULL,
    case_digest    text,
    code_version   text NOT NULL,
    approved_by    text NOT NULL CHECK (approved_by ~ '\S'),
    approved_at    timestamptz NOT NULL,
    reason         text NOT NULL CHECK (reason ~ '\S'),
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
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
        kind = 'rollback' OR (to_model_id IS NOT NULL AND to_digest IS NOT NULL AND case_digest IS NOT NULL)
    )
);

COMMENT ON TABLE shadow.promotion IS 'history of champions: each row is from the champion that the row before it made';

COMMENT ON COLUMN shadow.promotion.previous IS 'the newest number when this one was decided; two with the same violate the unique number';

COMMENT ON COLUMN shadow.promotion.undoes IS 'the promotion that a rollback takes back; each can be taken back once';

COMMENT ON COLUMN shadow.promotion.from_version IS 'before the first promotion the version that the log says';

COMMENT ON COLUMN shadow.promotion.compared_with IS 'the champion version that the verdict is against, as the log calls it';

COMMENT ON COLUMN shadow.promotion.verdict_id IS 'checked when it is added; a verdict is never changed or taken away';

COMMENT ON COLUMN shadow.promotion.overridden IS 'what stood in the way of a promotion that was forced';

COMMENT ON COLUMN shadow.promotion.created_at IS 'the clock, not the transaction''s start: who waited for another comes after it';

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

CREATE TRIGGER promotion_is_history BEFORE UPDATE OR DELETE OR TRUNCATE ON shadow.promotion
    FOR EACH STATEMENT EXECUTE FUNCTION shadow.refuse_change();

CREATE VIEW shadow.champion AS
SELECT DISTINCT ON (p.deployment_id)
    d.name AS deployment, p.to_name AS name, p.to_version AS version, p.to_digest AS digest, p.to_uri AS uri,
    p.created_at AS since, p.approved_by, p.number
FROM shadow.promotion AS p
JOIN shadow.deployment AS d ON d.id = p.deployment_id
ORDER BY p.deployment_id, p.number DESC;

COMMENT ON VIEW shadow.champion IS 'for production: the champion of each deployment; none before the first promotion. Grant SELECT on it and USAGE on the schema'
