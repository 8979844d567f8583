-- Those of these tables that were never analyzed, or have grown by 10 % and 1,000 rows since.
SELECT c.relname
FROM pg_class AS c
LEFT JOIN pg_stat_all_tables AS s ON s.relid = c.oid
WHERE c.relnamespace = 'shadow'::regnamespace AND c.relname = ANY(:'names'::text[])
  AND pg_has_role(c.relowner, 'USAGE')
  AND (c.reltuples < 0 OR s.n_mod_since_analyze > 0.1 * c.reltuples + 1000)
ORDER BY c.relname
