-- The sampled requests of the newest day that shows what production serves after a promotion, by logged version.
-- That day was sampled after the promotion, is later than the day that it rests on, and does not hold the moment of it.
SELECT s.day, r.champion_version AS version, count(*)::int AS requests
FROM (
    SELECT s.id, s.day
    FROM shadow.snapshot AS s
    JOIN shadow.deployment AS d ON d.id = s.deployment_id
    WHERE d.name = :'deployment' AND s.rows > 0 AND s.created_at > :'promoted_at'::timestamptz
      AND (:'promoted_on'::date IS NULL OR s.day > :'promoted_on'::date)
      AND NOT (s.window_start <= :'promoted_at'::timestamptz AND :'promoted_at'::timestamptz < s.window_end)
      AND NOT EXISTS (SELECT FROM shadow.withdrawal AS w WHERE (w.deployment_id, w.day) = (d.id, s.day))
    ORDER BY s.day DESC, s.id DESC
    LIMIT 1
) AS s
JOIN shadow.request AS r ON (r.snapshot_id, r.day) = (s.id, s.day)
GROUP BY s.day, r.champion_version
ORDER BY count(*) DESC, r.champion_version
