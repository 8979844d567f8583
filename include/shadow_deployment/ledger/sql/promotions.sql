-- The promotions of a deployment in order, each with the number of the rollback that reverted it.
SELECT
    p.number, p.kind, p.undoes, undoing.number AS undone_by,
    p.from_name, p.from_version, p.from_digest, p.from_uri, p.from_model_id,
    p.to_name AS name, p.to_version AS version, p.to_digest AS digest, p.to_uri AS uri, p.to_model_id AS model_id,
    p.verdict_id, p.day, p.compared_with, p.outcome, p.findings, p.input_digest, p.policy, p.overridden,
    p.promotion_request_digest AS case_digest, p.code_version, p.approved_by, p.approved_at, p.reason, p.database_user,
    p.os_user, p.created_at
FROM shadow.promotion AS p
JOIN shadow.deployment AS d ON d.id = p.deployment_id
LEFT JOIN shadow.promotion AS undoing ON (undoing.deployment_id, undoing.undoes) = (p.deployment_id, p.number)
WHERE d.name = :'deployment'
ORDER BY p.number
