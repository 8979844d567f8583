-- The first and the last time.
SELECT min(:time), max(:time)
FROM :"table"
WHERE isfinite(:"column")
