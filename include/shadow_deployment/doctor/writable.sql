-- What this role could change in this database, a line each; nothing where it can only read.
WITH relation AS (
    SELECT c.oid, c.relkind, format('%I.%I', n.nspname, c.relname) AS name
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND n.nspname NOT LIKE 'pg\_toast%'
        AND n.nspname NOT LIKE 'pg\_temp%'
)
SELECT 'is a superuser' FROM pg_roles WHERE rolname = current_user AND rolsuper
UNION ALL
SELECT 'may make roles, make databases or replicate'
FROM pg_roles
WHERE rolname = current_user AND NOT rolsuper AND (rolcreaterole OR rolcreatedb OR rolreplication)
UNION ALL
SELECT format('is a member of %I', r.rolname)
FROM pg_roles AS r JOIN pg_roles AS own ON own.rolname = current_user
WHERE NOT own.rolsuper
    AND pg_has_role(r.oid, 'MEMBER')
    AND r.rolname IN ('pg_write_all_data', 'pg_signal_backend', 'pg_checkpoint', 'pg_maintain', 'pg_execute_server_program',
        'pg_write_server_files', 'pg_create_subscription', 'pg_signal_autovacuum_worker')
UNION ALL
SELECT 'owns the database or may make schemas in it' WHERE has_database_privilege(current_database(), 'CREATE')
UNION ALL
SELECT format('may make tables in schema %I', nspname)
FROM pg_namespace
WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema' AND has_schema_privilege(oid, 'CREATE')
UNION ALL
SELECT format('may %s %s', string_agg(privilege, ', ' ORDER BY place), name)
FROM relation
CROSS JOIN unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES'])
    WITH ORDINALITY AS wanted (privilege, place)
WHERE relkind <> 'S'
    AND CASE
        WHEN privilege IN ('INSERT', 'UPDATE', 'REFERENCES') THEN has_any_column_privilege(oid, privilege)
        ELSE has_table_privilege(oid, privilege)
    END
GROUP BY name
UNION ALL
SELECT format('may change the sequence %s', name)
FROM relation
WHERE CASE WHEN relkind = 'S' THEN has_sequence_privilege(oid, 'UPDATE') OR has_sequence_privilege(oid, 'USAGE') END
UNION ALL
-- What acts with the rights of another role may do what that role may, whatever this one may not.
SELECT format('may call %s %s, which acts as %I', CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END,
    p.oid::regprocedure, pg_get_userbyid(p.proowner))
FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.prosecdef
    AND p.provolatile = 'v'
    AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND NOT pg_has_role(p.proowner, 'USAGE')
    AND has_schema_privilege(n.oid, 'USAGE')
    AND has_function_privilege(p.oid, 'EXECUTE')
