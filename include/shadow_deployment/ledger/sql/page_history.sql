-- One model's newest verdict of each day, and how often the day was judged.
SELECT DISTINCT ON (day) day, outcome, revision
FROM shadow.verdict
WHERE challenger_id = :'challenger'
ORDER BY day, id DESC
