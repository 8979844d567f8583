-- The partitions of days before one, by name.
SELECT relname, to_date(right(relname, 8), 'YYYYMMDD') AS day
FROM pg_class
WHERE relnamespace = 'shadow'::regnamespace AND relispartition AND relkind = 'r' AND relname ~ '_[0-9]{8}$'
  AND to_date(right(relname, 8), 'YYYYMMDD') < :'before'
ORDER BY day, relname
