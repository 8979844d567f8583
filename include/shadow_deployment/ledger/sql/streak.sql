-- Since when, and on how many consecutive judged days, a challenger has passed on the terms of one day.
WITH newest AS (
    SELECT DISTINCT ON (day) day, outcome, trial_id
    FROM shadow.verdict
    WHERE challenger_id = :'challenger' AND day <= :'day'::date
    ORDER BY day, id DESC
), judged AS (
    SELECT
        n.day,
        n.outcome = 'PASS' AND n.trial_id = t.trial_id AS passes
    FROM newest AS n
    JOIN newest AS t ON t.day = :'day'::date
)
SELECT min(day) AS since, count(*)::int AS days
FROM judged
WHERE day > coalesce((SELECT max(day) FROM judged WHERE NOT passes), '-infinity')
