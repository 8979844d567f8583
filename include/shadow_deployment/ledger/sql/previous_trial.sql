-- The newest trial of a challenger of the same name, of any version.
SELECT t.number, t.terms, t.champion_version, t.challenger_id, other.version, other.digest, n.trained_until
FROM shadow.model_version AS m
JOIN shadow.model_version AS other ON (other.deployment_id, other.name) = (m.deployment_id, m.name)
JOIN shadow.trial AS t ON t.challenger_id = other.id
LEFT JOIN shadow.trial_training AS n ON n.trial_id = t.id
WHERE m.id = :'challenger'
ORDER BY t.number DESC
LIMIT 1
