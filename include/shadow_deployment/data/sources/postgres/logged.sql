-- What some columns hold for these request ids. Of an id that is there twice, the row that :last orders last counts.
SELECT l.:"id"::text, :values
FROM unnest(:'ids'::text[]) AS requests ("request id")
JOIN :"table" AS l ON l.:"id" = CAST("request id" AS :type)
WHERE :inside
ORDER BY l.:"id", :last
