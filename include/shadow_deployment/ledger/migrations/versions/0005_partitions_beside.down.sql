-- The way back: partitions are made in their place again.
CREATE OR REPLACE FUNCTION shadow.ensure_partitions(the_day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    child text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['request', 'prediction', 'label'] LOOP
        child := parent || '_' || to_char(the_day, 'YYYYMMDD');
        IF to_regclass('shadow.' || child) IS NULL THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('shadow.partitions', 0));
            EXECUTE format('CREATE TABLE IF NOT EXISTS shadow.%I PARTITION OF shadow.%I FOR VALUES IN (%L)', child, parent, the_day);
        END IF;
    END LOOP;
END $$;
