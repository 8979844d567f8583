-- A few rows of a table.
SELECT :columns
FROM :"table" :sampling
LIMIT :'limit'
