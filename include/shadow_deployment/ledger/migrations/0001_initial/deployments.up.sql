-- Deployments, their challengers as scored, and what the other areas share.
CREATE SCHEMA IF NOT EXISTS shadow;

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
COMMENT ON TABLE shadow.model_version IS 'a challenger as it was scored; evidence belongs to one digest';

CREATE FUNCTION shadow.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'shadow.% is append-only: % is refused', TG_TABLE_NAME, TG_OP;
END $$;

CREATE PROCEDURE shadow.make_append_only(the_tables text[], but_for_removal boolean DEFAULT false) LANGUAGE plpgsql AS $$
DECLARE
    the_table text;
BEGIN
    FOREACH the_table IN ARRAY the_tables LOOP
        EXECUTE format(
            'CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON shadow.%I FOR EACH STATEMENT %s '
            'EXECUTE FUNCTION shadow.refuse_change()', the_table || '_is_append_only', the_table,
            CASE WHEN but_for_removal THEN 'WHEN (current_setting(''shadow.removing'', true) IS DISTINCT FROM ''yes'')' END);
    END LOOP;
END $$;
COMMENT ON PROCEDURE shadow.make_append_only IS 'lets nobody change rows of these tables; but_for_removal while shadow.removing is yes, which lets removal.up.sql take rows away: the setting gives no right to it';

-- A partition is made on its own and then attached: CREATE TABLE ... PARTITION OF locks the whole table against readers,
-- one table after another, so that a run that reads two of them and one that begins a day could deadlock.
-- After the wait for the advisory lock the catalogue is queried: to_regclass would still answer from the session's cache.
-- It belongs to the schema's owner and runs as that role: whoever runs the days makes no tables.
CREATE FUNCTION shadow.ensure_partitions(the_day date) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent text;
    child text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['request_batch', 'prediction_batch', 'label_arrival'] LOOP
        child := parent || '_' || to_char(the_day, 'YYYYMMDD');
        IF to_regclass('shadow.' || child) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('shadow.partitions', 0));
            IF NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'shadow'::regnamespace AND relname = child) THEN
                EXECUTE format('CREATE TABLE shadow.%I (LIKE shadow.%I INCLUDING ALL)', child, parent);
                EXECUTE format('ALTER TABLE shadow.%I ATTACH PARTITION shadow.%I FOR VALUES IN (%L)', parent, child, the_day);
            END IF;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION shadow.ensure_partitions IS 'creates one partition per day, so that old rows are removed by dropping a table';

CREATE FUNCTION shadow.analyze_day(the_day date) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    grown name;
BEGIN
    FOR grown IN
        SELECT c.relname
        FROM pg_class AS c
        LEFT JOIN pg_stat_all_tables AS s ON s.relid = c.oid
        WHERE c.relnamespace = 'shadow'::regnamespace AND c.relname ~ ('_(batch|arrival)_' || to_char(the_day, 'YYYYMMDD') || '$')
          AND (c.reltuples < 0 OR s.n_mod_since_analyze > 0.1 * c.reltuples + 1000)
          AND c.relkind = 'r'
        ORDER BY c.relname
    LOOP
        EXECUTE format('ANALYZE shadow.%I (day, snapshot_id)', grown);
    END LOOP;
END $$;
COMMENT ON FUNCTION shadow.analyze_day IS 'tells the planner how large a day''s tables are, where they were never analyzed or have grown by 10 % and 1,000 rows since';

REVOKE ALL ON ROUTINE shadow.ensure_partitions, shadow.analyze_day, shadow.make_append_only FROM PUBLIC;
