-- The newest day that is known of: sampled, judged, or told to have failed, recovered or be late.
SELECT max(day)
FROM (
    SELECT s.deployment_id, s.day FROM shadow.snapshot AS s
    UNION ALL
    SELECT v.deployment_id, v.day FROM shadow.verdict AS v
    UNION ALL
    SELECT a.deployment_id, a.day FROM shadow.alert AS a WHERE a.kind IN ('failed', 'recovered', 'late')
) AS known
JOIN shadow.deployment AS d ON d.id = known.deployment_id
WHERE d.name = :'deployment'
