-- What this role cannot do in the ledger although the daily steps need it, a line each.
SELECT 'may not use schema shadow' WHERE NOT has_schema_privilege('shadow', 'USAGE')
UNION ALL
SELECT 'may not make the partitions of a day in schema shadow' WHERE NOT has_schema_privilege('shadow', 'CREATE')
UNION ALL
SELECT format('does not own %s, and so cannot add a day to it', format('%I.%I', n.nspname, c.relname))
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'shadow' AND c.relkind = 'p' AND NOT pg_has_role(c.relowner, 'USAGE')
UNION ALL
SELECT format('may not %s %s', string_agg(privilege, ', ' ORDER BY place), format('%I.%I', nspname, relname))
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT']) WITH ORDINALITY AS wanted (privilege, place)
WHERE n.nspname = 'shadow' AND c.relkind IN ('r', 'p') AND NOT has_table_privilege(c.oid, privilege)
GROUP BY nspname, relname
