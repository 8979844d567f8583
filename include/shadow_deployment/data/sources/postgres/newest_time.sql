-- The time of the newest request.
SELECT max(:"time")::timestamptz FROM :"table"
