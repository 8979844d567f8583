-- What this role cannot do in the ledger although the daily steps need it, a line each.
SELECT 'may not use schema shadow' WHERE NOT has_schema_privilege('shadow', 'USAGE')
UNION ALL
SELECT format('may not call shadow.%s', proname)
FROM pg_proc
WHERE pronamespace = 'shadow'::regnamespace AND proname IN ('ensure_partitions', 'analyze_day', 'prune', 'drop_pruned_partitions')
  AND NOT has_function_privilege(oid, 'EXECUTE')
UNION ALL
SELECT format('may not %s %s', string_agg(privilege, ', ' ORDER BY place), format('%I.%I', nspname, relname))
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS wanted (privilege, place)
WHERE n.nspname = 'shadow' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND (privilege = 'SELECT' OR privilege = 'INSERT' AND relname NOT IN ('alembic_version', 'chain', 'retention', 'removal', 'leftover')
      OR relname IN ('provisional_evidence', 'score_bin', 'quadrant', 'disagreement')
      OR privilege = 'DELETE' AND relname = 'leftover')
  AND NOT has_table_privilege(c.oid, privilege)
GROUP BY nspname, relname
