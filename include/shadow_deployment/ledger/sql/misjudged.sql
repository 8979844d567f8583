-- The verdicts that were judged at another alpha than their trial has.
SELECT v.day, m.name, v.alpha, t.number, t.alpha
FROM shadow.verdict AS v
JOIN shadow.trial AS t ON t.id = v.trial_id
JOIN shadow.model_version AS m ON m.id = v.challenger_id
JOIN shadow.deployment AS d ON d.id = v.deployment_id
WHERE d.name = :'deployment' AND v.alpha <> t.alpha
ORDER BY v.id
