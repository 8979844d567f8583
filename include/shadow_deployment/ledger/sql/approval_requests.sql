-- Every approval request of a deployment, with its decision where there is one.
SELECT
    r.id, m.name AS challenger, m.version, r.terms_digest AS topic, r.day, r.promotion_request_digest AS case_digest,
    r.run_id, r.created_at AS asked_at, d.decision AS answer, d.decided_by AS answered_by, d.decided_at AS answered_at,
    d.reason
FROM shadow.approval_request AS r
JOIN shadow.model_version AS m ON m.id = r.challenger_id
JOIN shadow.deployment AS o ON o.id = r.deployment_id
LEFT JOIN shadow.approval_decision AS d ON d.approval_request_id = r.id
WHERE o.name = :'deployment'
ORDER BY r.id
