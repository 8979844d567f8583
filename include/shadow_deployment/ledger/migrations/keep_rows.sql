-- Before the way back: nobody writes to the ledger from here until it is gone or the transaction ends.
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT relname FROM pg_class
        WHERE relnamespace = to_regnamespace('shadow') AND relkind IN ('r', 'p') AND NOT relispartition
        ORDER BY relname
    LOOP
        EXECUTE format('LOCK TABLE shadow.%I IN ACCESS EXCLUSIVE MODE', name);
    END LOOP;
END $$;

-- A ledger that has rows stays, unless it is said that they may go.
DO $$
DECLARE
    name text;
    rows bigint;
    found text[] := '{}';
BEGIN
    IF coalesce(current_setting('shadow.drop_evidence', true), '') = 'yes' THEN
        RETURN;
    END IF;
    FOR name IN
        SELECT relname FROM pg_class
        WHERE relnamespace = to_regnamespace('shadow') AND relkind IN ('r', 'p') AND NOT relispartition
          AND relname <> 'alembic_version'
        ORDER BY relname
    LOOP
        EXECUTE format('SELECT count(*) FROM shadow.%I', name) INTO rows;
        IF rows > 0 THEN
            found := found || format('%s %s', name, rows);
        END IF;
    END LOOP;
    IF found <> '{}' THEN
        RAISE EXCEPTION 'the ledger has rows, which would be lost: %', array_to_string(found, ', ')
            USING ERRCODE = 'object_in_use', HINT = 'Make a backup: shadow backup --to FILE. '
                'Then set shadow.drop_evidence to yes, as PGOPTIONS="-c shadow.drop_evidence=yes" psql does.';
    END IF;
END $$;
