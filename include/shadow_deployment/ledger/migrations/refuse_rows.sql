-- A ledger with rows, beside what deployment files declare, is kept, unless the setting shadow.drop_evidence is yes.
DO $$
DECLARE
    filled text;
BEGIN
    EXECUTE (
        SELECT 'SELECT string_agg(name || '' '' || rows, '', '' ORDER BY name) FROM ('
            || string_agg(format('SELECT %L AS name, count(*) AS rows FROM shadow.%I', relname, relname), ' UNION ALL ')
            || ') AS t WHERE rows > 0'
        FROM pg_class
        WHERE relnamespace = to_regnamespace('shadow') AND relkind IN ('r', 'p') AND NOT relispartition
          AND relname NOT IN ('alembic_version', 'retention')) INTO filled;
    IF filled IS NOT NULL AND coalesce(current_setting('shadow.drop_evidence', true), '') <> 'yes' THEN
        RAISE EXCEPTION 'the ledger has rows, which would be lost: %', filled
            USING ERRCODE = 'object_in_use', HINT = 'Make a backup: shadow backup --to FILE. '
                'Then set shadow.drop_evidence to yes, as PGOPTIONS="-c shadow.drop_evidence=yes" psql does.';
    END IF;
END $$;
