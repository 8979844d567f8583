-- Each model's newest verdict of a day up to `as_of` (null: any), in the columns that are wanted. decided_on is the first
-- day of the same outcome on the same terms.
SELECT :columns
FROM (
    SELECT DISTINCT ON (m.name)
        m.name, m.version, m.uri, m.digest, m.digest AS model_digest, v.id, v.challenger_id, v.day, v.champion_version, v.design,
        v.outcome, v.reasons, v.warnings, v.findings, v.policy, v.explanation, v.input_digest, v.code_version, v.revision,
        v.judged_at,
        CASE WHEN v.outcome <> 'INCONCLUSIVE' THEN (
            SELECT min(earlier.day)
            FROM shadow.verdict AS earlier
            WHERE (earlier.challenger_id, earlier.outcome, earlier.champion_version, earlier.design, earlier.policy)
                = (v.challenger_id, v.outcome, v.champion_version, v.design, v.policy)
        ) END AS decided_on
    FROM shadow.deployment AS d
    JOIN shadow.model_version AS m ON m.deployment_id = d.id
    CROSS JOIN LATERAL (
        SELECT *
        FROM shadow.verdict
        WHERE challenger_id = m.id AND (:'as_of'::date IS NULL OR day <= :'as_of'::date)
        ORDER BY day DESC, id DESC
        LIMIT 1
    ) AS v
    WHERE d.name = :'deployment'
    ORDER BY m.name, v.day DESC, v.id DESC
) AS newest
