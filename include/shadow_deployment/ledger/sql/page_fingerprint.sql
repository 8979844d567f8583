-- Changes whenever anything that a page shows of a deployment may change: row counts, and sums of the times at which rows
-- were written, to the microsecond, so that a rewritten row counts too.
SELECT ARRAY[
    (SELECT count(*) FROM shadow.model_version AS m WHERE m.deployment_id = d.id),
    (SELECT coalesce(max(v.id), 0) FROM shadow.verdict AS v WHERE v.deployment_id = d.id),
    (SELECT coalesce(max(c.id), 0) FROM shadow.verification AS c WHERE c.deployment_id = d.id),
    (SELECT coalesce(max(p.number), 0) FROM shadow.promotion AS p WHERE p.deployment_id = d.id),
    (SELECT count(r.id) + count(c.decision) FROM shadow.approval_request AS r
        LEFT JOIN shadow.approval_decision AS c ON c.approval_request_id = r.id WHERE r.deployment_id = d.id),
    (SELECT count(DISTINCT a.id) + count(v.id) FROM shadow.alert AS a
        LEFT JOIN shadow.delivery AS v ON v.alert_id = a.id WHERE a.deployment_id = d.id)
]::text || (
    SELECT ARRAY[
        count(*), sum(s.label_revision), sum(extract(epoch FROM s.labels_until)), sum(extract(epoch FROM s.created_at)),
        sum((SELECT sum(extract(epoch FROM c.compared_at)) FROM shadow.comparison AS c WHERE c.snapshot_id = s.id)),
        sum((SELECT sum(extract(epoch FROM o.scored_at)) FROM shadow.scoring AS o WHERE o.snapshot_id = s.id)),
        sum((SELECT sum(extract(epoch FROM v.validated_at)) FROM shadow.validation AS v WHERE v.snapshot_id = s.id))
    ]::text
    FROM shadow.labelled_snapshot AS s
    WHERE s.deployment_id = d.id
)
FROM shadow.deployment AS d
WHERE d.name = :'deployment'
