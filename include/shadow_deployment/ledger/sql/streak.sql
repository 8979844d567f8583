-- Since when, and on how many judged days, a challenger has passed without interruption on the terms of one day.
WITH newest AS (
    SELECT DISTINCT ON (day) day, outcome, champion_version, design, policy
    FROM shadow.verdict
    WHERE challenger_id = :'challenger' AND day <= :'day'::date
    ORDER BY day, id DESC
), judged AS (
    SELECT
        one.day,
        one.outcome = 'PASS'
            AND (one.champion_version, one.design, one.policy) = (terms.champion_version, terms.design, terms.policy)
            AS passes
    FROM newest AS one
    JOIN newest AS terms ON terms.day = :'day'::date
)
SELECT min(day) AS since, count(*)::int AS days
FROM judged
WHERE day > coalesce((SELECT max(day) FROM judged WHERE NOT passes), '-infinity')
