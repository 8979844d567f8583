-- A challenger's newest verdict of one day, or of the newest day that it was judged on, as whatever model it then was.
SELECT
    v.id, v.day, v.outcome, v.reasons, v.findings, v.policy, v.design, v.champion_version, v.input_digest,
    m.version, m.digest
FROM shadow.verdict AS v
JOIN shadow.model_version AS m ON m.id = v.challenger_id
JOIN shadow.deployment AS d ON d.id = v.deployment_id
WHERE d.name = :'deployment' AND m.name = :'challenger' AND (:'day'::date IS NULL OR v.day = :'day'::date)
ORDER BY v.day DESC, v.id DESC
LIMIT 1
