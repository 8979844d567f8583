-- What this role could change in this database, a line each; nothing where it can only read.
WITH relation AS (
    SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND n.nspname NOT LIKE 'pg\_toast%'
        AND n.nspname NOT LIKE 'pg\_temp%'
)
SELECT 'is a superuser' FROM pg_roles WHERE rolname = current_user AND rolsuper
UNION ALL
SELECT 'owns the database or may make schemas in it' WHERE has_database_privilege(current_database(), 'CREATE')
UNION ALL
SELECT format('may make tables in schema %I', nspname)
FROM pg_namespace
WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema' AND has_schema_privilege(oid, 'CREATE')
UNION ALL
SELECT format('may %s %s', string_agg(privilege, ', ' ORDER BY place), name)
FROM relation
CROSS JOIN unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) WITH ORDINALITY AS wanted (privilege, place)
JOIN pg_class AS c USING (oid)
WHERE c.relkind <> 'S' AND has_table_privilege(oid, privilege)
GROUP BY name
UNION ALL
SELECT format('may change the sequence %s', name)
FROM relation JOIN pg_class AS c USING (oid)
WHERE CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(oid, 'UPDATE') OR has_sequence_privilege(oid, 'USAGE') END
