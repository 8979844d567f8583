-- Each model's newest verdict of a day up to `as_of` (null: any) that was not withdrawn, with its model and its trial.
-- decided_on is the first day of the same outcome in the same trial, by the newest revision of each day.
SELECT DISTINCT ON (m.name)
    v.id, m.name, m.version, m.uri, m.digest AS model_digest, v.challenger_id, v.day, v.champion_version, v.design, v.days,
    v.outcome, v.reasons, v.warnings, v.findings, v.policy, v.explanation, v.input_digest, v.code_version, v.revision,
    v.judged_at, c.number AS chain_number, c.hash AS chain_hash, t.number AS trial, t.opened_at, t.opened_because,
    t.batch, t.place, t.alpha, t.rules_digest, t.terms,
    CASE WHEN v.outcome <> 'INCONCLUSIVE' THEN (
        SELECT min(earlier.day)
        FROM shadow.verdict AS earlier
        WHERE earlier.challenger_id = v.challenger_id -- as every verdict of its trial, and by its index
          AND (earlier.trial_id, earlier.outcome) = (v.trial_id, v.outcome) AND NOT EXISTS (
            SELECT FROM shadow.verdict AS later
            WHERE (later.challenger_id, later.day) = (earlier.challenger_id, earlier.day) AND later.id > earlier.id
        )
    ) END AS decided_on
FROM shadow.deployment AS d
JOIN shadow.model_version AS m ON m.deployment_id = d.id
CROSS JOIN LATERAL (
    SELECT *
    FROM shadow.verdict
    WHERE challenger_id = m.id AND (:'as_of'::date IS NULL OR day <= :'as_of'::date)
      AND NOT EXISTS (SELECT FROM shadow.withdrawal AS w WHERE (w.deployment_id, w.day) = (d.id, verdict.day))
    ORDER BY day DESC, id DESC
    LIMIT 1
) AS v
LEFT JOIN shadow.chain AS c ON (c.kind, c.subject_id) = ('verdict', v.id)
LEFT JOIN shadow.trial AS t ON t.id = v.trial_id
WHERE d.name = :'deployment'
ORDER BY m.name, v.day DESC, v.id DESC
