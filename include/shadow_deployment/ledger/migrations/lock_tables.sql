-- Before a migration down: nobody writes to the ledger until it is gone or the transaction ends.
DO $$ BEGIN
    EXECUTE (
        SELECT 'LOCK TABLE ' || string_agg(format('shadow.%I', relname), ', ' ORDER BY relname) || ' IN ACCESS EXCLUSIVE MODE'
        FROM pg_class
        WHERE relnamespace = to_regnamespace('shadow') AND relkind IN ('r', 'p') AND NOT relispartition);
END $$;
