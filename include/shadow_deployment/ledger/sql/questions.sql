-- Every promotion that was asked about, with its answer where there is one.
SELECT
    q.id, m.name AS challenger, m.version, q.topic, q.day, q.case_digest, q.run_id, q.asked_at,
    a.answer, a.answered_by, a.answered_at, a.reason
FROM shadow.question AS q
JOIN shadow.model_version AS m ON m.id = q.challenger_id
JOIN shadow.deployment AS d ON d.id = q.deployment_id
LEFT JOIN shadow.answer AS a ON a.question_id = q.id
WHERE d.name = :'deployment'
ORDER BY q.id
