-- Every trial of a deployment with its newest verdict, and how many days were judged in it.
SELECT
    t.number, t.kind, m.name, m.version, m.digest, t.champion_version, t.opened_at,
    t.opened_because, t.batch, t.place, CASE WHEN t.batch IS NOT NULL THEN count(*) OVER (PARTITION BY t.batch) END AS batch_size, t.alpha, t.terms_digest, t.rules_digest, n.trained_until, t.terms,
    v.day, v.outcome, (SELECT count(DISTINCT day) FROM shadow.verdict WHERE trial_id = t.id) AS judged
FROM shadow.trial AS t
JOIN shadow.deployment AS d ON d.id = t.deployment_id
JOIN shadow.model_version AS m ON m.id = t.challenger_id
LEFT JOIN shadow.trial_training AS n ON n.trial_id = t.id
LEFT JOIN LATERAL (
    SELECT day, outcome FROM shadow.verdict WHERE trial_id = t.id ORDER BY day DESC, id DESC LIMIT 1
) AS v ON true
WHERE d.name = :'deployment'
ORDER BY t.number
