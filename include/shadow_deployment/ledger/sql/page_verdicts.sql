-- Each model's newest verdict of a day up to `as_of`, with all that a page says of it, and since when it has been so.
SELECT DISTINCT ON (m.name)
    m.name, m.version, m.uri, m.digest AS model_digest, v.id, v.challenger_id, v.day, v.champion_version, v.design,
    v.outcome, v.reasons, v.warnings, v.findings, v.policy, v.input_digest, v.code_version, v.revision,
    v.judged_at,
    CASE WHEN v.outcome <> 'INCONCLUSIVE' THEN (
        SELECT earlier.day
        FROM shadow.verdict AS earlier
        WHERE earlier.challenger_id = v.challenger_id
          AND earlier.outcome = v.outcome
          AND earlier.champion_version = v.champion_version
          AND earlier.design = v.design
          AND earlier.policy = v.policy
        ORDER BY earlier.day
        LIMIT 1
    ) END AS decided_on
FROM shadow.deployment AS d
JOIN shadow.model_version AS m ON m.deployment_id = d.id
CROSS JOIN LATERAL (
    SELECT one.*
    FROM shadow.verdict AS one
    WHERE one.challenger_id = m.id AND (:'as_of'::date IS NULL OR one.day <= :'as_of'::date)
    ORDER BY one.day DESC, one.id DESC
    LIMIT 1
) AS v
WHERE d.name = :'deployment'
ORDER BY m.name, v.day DESC, v.id DESC
