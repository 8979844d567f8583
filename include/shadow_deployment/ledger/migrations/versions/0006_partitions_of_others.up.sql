-- A partition that another session has made meanwhile is seen: the catalogue is asked after the wait. An advisory lock
-- does not renew what a session remembers, and to_regclass would answer from before.
CREATE OR REPLACE FUNCTION shadow.ensure_partitions(the_day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    child text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['request', 'prediction', 'label'] LOOP
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
