-- The newest day that was sampled by one design, and the version that served last of those days.
SELECT
    max(s.day),
    (array_agg(s.champion_versions[cardinality(s.champion_versions)] ORDER BY s.day DESC)
        FILTER (WHERE cardinality(s.champion_versions) > 0))[1]
FROM shadow.snapshot AS s
JOIN shadow.deployment AS d ON d.id = s.deployment_id
WHERE d.name = :'deployment' AND s.design = :'design'
