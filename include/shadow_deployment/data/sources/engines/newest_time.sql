-- The time of the newest request.
SELECT max(:moment) AS newest FROM files
