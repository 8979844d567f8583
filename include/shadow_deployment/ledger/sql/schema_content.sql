-- The objects in schema `shadow`, such as "table shadow.verdict".
SELECT pg_describe_object(classid, objid, objsubid)
FROM pg_depend
WHERE refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace('shadow') AND deptype = 'n'
ORDER BY 1
