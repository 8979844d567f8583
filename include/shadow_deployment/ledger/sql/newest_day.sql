-- The newest day that was sampled or judged, or has an alert that it failed, recovered or is late.
SELECT greatest(
    (SELECT max(s.day) FROM shadow.snapshot AS s WHERE s.deployment_id = d.id),
    (SELECT max(v.day) FROM shadow.verdict AS v WHERE v.deployment_id = d.id),
    (SELECT max(a.day) FROM shadow.alert AS a WHERE a.deployment_id = d.id AND a.kind IN ('failed', 'recovered', 'late')))
FROM shadow.deployment AS d
WHERE d.name = :'deployment'
