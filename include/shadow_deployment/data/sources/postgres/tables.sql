-- The tables and views of all schemas but the system's.
SELECT table_schema || '.' || table_name
FROM (
    SELECT schemaname, tablename FROM pg_tables UNION ALL SELECT schemaname, viewname FROM pg_views
) AS relations (table_schema, table_name)
WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
ORDER BY 1
