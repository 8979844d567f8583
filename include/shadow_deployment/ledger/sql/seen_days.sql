-- The days on which the trial's model had evidence before the trial was opened, in any deployment on the same requests.
SELECT DISTINCT s.day
FROM shadow.trial AS t
JOIN shadow.model_version AS m ON m.id = t.challenger_id
JOIN shadow.model_version AS same
    ON same.digest = m.digest OR (same.deployment_id, same.name, same.version) = (m.deployment_id, m.name, m.version)
JOIN shadow.comparison AS c ON c.challenger_id = same.id AND c.compared_at < t.opened_at
JOIN shadow.snapshot AS s ON s.id = c.snapshot_id
WHERE t.id = :'trial'
  AND s.source = t.terms #>> '{requests,table}'
