-- What some columns hold for these request ids. Of an id that is there twice, the row that :last orders last counts.
SELECT "request id", :values
FROM unnest(:'ids'::text[]) AS requests ("request id")
JOIN :"table" AS l ON :match
WHERE :inside
ORDER BY "request id", :last
