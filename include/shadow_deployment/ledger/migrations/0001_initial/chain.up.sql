-- One chain per deployment: each verdict, promotion and removal, in the order in which they were entered, with the hash of the one before.
CREATE TABLE shadow.chain (
    deployment_id  int NOT NULL REFERENCES shadow.deployment,
    number         bigint NOT NULL CHECK (number > 0),
    kind           text NOT NULL CHECK (kind IN ('verdict', 'promotion', 'removal')),
    subject_id     bigint NOT NULL,
    previous       text NOT NULL,
    hash           text NOT NULL,
    PRIMARY KEY (deployment_id, number),
    UNIQUE (kind, subject_id)
);
COMMENT ON TABLE shadow.chain IS 'append-only: a verdict, promotion or removal that was changed, taken away or slipped in breaks it; a chain that was computed anew differs from the hashes in manifests, reports and alerts';
COMMENT ON COLUMN shadow.chain.previous IS 'the hash of the row before; empty in the first';

-- A row as text is the same in every session: time zone and digits are set here.
CREATE FUNCTION shadow.chain_hash(the_number bigint, the_kind text, the_subject bigint, the_previous text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' SET extra_float_digits = 1 AS $$
DECLARE
    subject jsonb;
BEGIN
    IF the_kind = 'verdict' THEN
        SELECT to_jsonb(v) INTO subject FROM shadow.verdict AS v WHERE v.id = the_subject;
    ELSIF the_kind = 'promotion' THEN
        SELECT to_jsonb(p) INTO subject FROM shadow.promotion AS p WHERE p.id = the_subject;
    ELSE
        SELECT to_jsonb(r) INTO subject FROM shadow.removal AS r WHERE r.id = the_subject;
    END IF;
    IF subject IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN encode(sha256(convert_to(jsonb_build_array(the_previous, the_number, the_kind, subject)::text, 'UTF8')), 'hex');
END $$;
COMMENT ON FUNCTION shadow.chain_hash IS 'SHA-256 of a verdict, promotion or removal as it is now, with its place; null where it is gone';

CREATE FUNCTION shadow.append_to_chain() RETURNS trigger LANGUAGE plpgsql VOLATILE
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    the_number bigint;
    before text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('shadow/chain/' || NEW.deployment_id, 0));
    SELECT c.number, c.hash INTO the_number, before
    FROM shadow.chain AS c WHERE c.deployment_id = NEW.deployment_id ORDER BY c.number DESC LIMIT 1;
    the_number := coalesce(the_number, 0) + 1;
    before := coalesce(before, '');
    INSERT INTO shadow.chain (deployment_id, number, kind, subject_id, previous, hash)
    VALUES (NEW.deployment_id, the_number, TG_TABLE_NAME, NEW.id, before,
        shadow.chain_hash(the_number, TG_TABLE_NAME, NEW.id, before));
    RETURN NULL;
END $$;

CREATE TRIGGER verdict_is_chained AFTER INSERT ON shadow.verdict
    FOR EACH ROW EXECUTE FUNCTION shadow.append_to_chain();

CREATE TRIGGER promotion_is_chained AFTER INSERT ON shadow.promotion
    FOR EACH ROW EXECUTE FUNCTION shadow.append_to_chain();

CALL shadow.make_append_only(ARRAY['chain']);
