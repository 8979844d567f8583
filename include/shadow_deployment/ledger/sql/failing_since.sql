-- The first of the judged days of a trial, before a day, since which it fails on every other judged day; null where it does not.
-- A later day that does not fail, such as one whose labels were corrected, lets the trial go on from the first.
WITH judged AS (
    SELECT DISTINCT ON (v.day) v.day, v.outcome
    FROM shadow.verdict AS v
    WHERE v.challenger_id = :'challenger' AND v.trial_id = :'trial' AND v.day IS DISTINCT FROM :'but'::date
      AND NOT EXISTS (
          SELECT FROM shadow.withdrawal AS w
          WHERE (w.deployment_id, w.day) = (v.deployment_id, v.day)
      )
    ORDER BY v.day, v.id DESC
)
SELECT min(day) FROM judged
WHERE day < :'before'::date AND day > coalesce((SELECT max(day) FROM judged WHERE outcome <> 'FAIL'), '-infinity')
