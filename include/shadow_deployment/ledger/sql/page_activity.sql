-- When a deployment was last worked on: its newest verdict, else its newest sample.
SELECT coalesce(
    (SELECT max(v.judged_at) FROM shadow.verdict AS v WHERE v.deployment_id = d.id),
    (SELECT max(s.created_at) FROM shadow.snapshot AS s WHERE s.deployment_id = d.id)
)
FROM shadow.deployment AS d
WHERE d.name = :'deployment'
