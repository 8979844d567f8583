-- The columns of a table: name, type, type without a length, and category. Postgres counts some types among the numbers
-- whose values cannot be cast to one: they are of category U here.
SELECT a.attname, format_type(a.atttypid, NULL), format_type(a.atttypid, -1),
    CASE WHEN coalesce(nullif(t.typbasetype, 0), t.oid) = ANY (
        '{money, oid, regclass, regcollation, regconfig, regdictionary, regnamespace,
          regoper, regoperator, regproc, regprocedure, regrole, regtype}'::regtype[]
    ) THEN 'U' ELSE t.typcategory END
FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
WHERE a.attrelid = :'table'::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
