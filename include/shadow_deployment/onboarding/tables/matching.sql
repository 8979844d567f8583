-- The rows of some ids.
SELECT :columns
FROM :"table"
WHERE :"column" = ANY (CAST(:'texts'::text[] AS :type[]))
LIMIT :'limit'
