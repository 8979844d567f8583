-- What there is in the schema `shadow`, by name: tables, views, sequences, functions and types of their own.
SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('shadow') AND relkind <> 'i'
UNION ALL
SELECT proname FROM pg_proc WHERE pronamespace = to_regnamespace('shadow')
UNION ALL
SELECT typname FROM pg_type WHERE typnamespace = to_regnamespace('shadow') AND typrelid = 0 AND typelem = 0
ORDER BY 1
