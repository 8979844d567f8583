-- What kind of relation a table is, and about how many rows it has; a hundred bytes a row where nothing was counted yet.
SELECT relkind::text, CASE WHEN reltuples >= 0 THEN reltuples ELSE pg_relation_size(oid) / 100 END::float8
FROM pg_class
WHERE oid = :'table'::regclass
