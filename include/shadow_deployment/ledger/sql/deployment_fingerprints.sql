-- Of each named deployment, what changes whenever anything was entered of which a list of deployments shows something.
-- All of it only grows, so that counts and the newest numbers say whether it did; the chain counts verdicts and promotions.
SELECT d.name, ARRAY[
    (SELECT coalesce(max(c.number), 0) FROM shadow.chain AS c WHERE c.deployment_id = d.id),
    (SELECT count(*) FROM shadow.model_version AS m WHERE m.deployment_id = d.id),
    (SELECT count(*) FROM shadow.sampled_day AS s JOIN shadow.sampled_window AS w ON w.snapshot_id = s.id
        WHERE s.deployment_id = d.id),
    (SELECT count(*) FROM shadow.verification AS v WHERE v.deployment_id = d.id),
    (SELECT count(*) FROM shadow.newer_versions AS n WHERE n.deployment_id = d.id),
    (SELECT count(*) FROM shadow.withdrawal AS w WHERE w.deployment_id = d.id),
    (SELECT count(*) FROM shadow.acknowledgement AS a WHERE a.deployment_id = d.id),
    (SELECT count(r.id) + count(a.decision) FROM shadow.approval_request AS r
        LEFT JOIN shadow.approval_decision AS a ON a.approval_request_id = r.id WHERE r.deployment_id = d.id),
    (SELECT count(DISTINCT a.id) + count(v.id) FROM shadow.alert AS a
        LEFT JOIN shadow.delivery AS v ON v.alert_id = a.id WHERE a.deployment_id = d.id)
]::text
FROM shadow.deployment AS d
WHERE d.name = ANY(:'deployments'::text[])
