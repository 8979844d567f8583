-- The newest revision of each verdict of a deployment, of some days or (null) of all.
SELECT DISTINCT ON (v.day, v.challenger_id)
    v.id, m.name, v.day, v.outcome, v.reasons, v.warnings, v.findings, v.blocked, v.alpha, v.counted_evidence,
    v.shown_evidence, v.policy, v.days, v.input_digest, t.number AS trial
FROM shadow.verdict AS v
JOIN shadow.deployment AS d ON d.id = v.deployment_id
JOIN shadow.model_version AS m ON m.id = v.challenger_id
LEFT JOIN shadow.trial AS t ON t.id = v.trial_id
WHERE d.name = :'deployment' AND (:'days'::date[] IS NULL OR v.day = ANY(:'days'))
ORDER BY v.day, v.challenger_id, v.revision DESC
