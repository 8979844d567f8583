-- What changes whenever anything that a page shows of a deployment may change: how many rows there are, and the sum of
-- the moments at which they were written, to the microsecond, so that a row that is written again counts too.
SELECT ARRAY[
    (SELECT count(*) FROM shadow.model_version AS m WHERE m.deployment_id = d.id),
    (SELECT coalesce(max(v.id), 0) FROM shadow.verdict AS v WHERE v.deployment_id = d.id),
    (SELECT coalesce(max(p.number), 0) FROM shadow.promotion AS p WHERE p.deployment_id = d.id),
    (SELECT coalesce(max(q.id), 0) FROM shadow.question AS q WHERE q.deployment_id = d.id),
    (SELECT count(*) FROM shadow.answer AS a JOIN shadow.question AS q ON q.id = a.question_id
        WHERE q.deployment_id = d.id),
    (SELECT coalesce(max(a.id), 0) FROM shadow.alert AS a WHERE a.deployment_id = d.id),
    (SELECT coalesce(max(y.id), 0) FROM shadow.delivery AS y JOIN shadow.alert AS a ON a.id = y.alert_id
        WHERE a.deployment_id = d.id)
]::text || (
    SELECT ARRAY[
        count(*),
        sum(s.label_revision),
        sum(extract(epoch FROM s.labels_until)),
        sum(extract(epoch FROM s.created_at)),
        sum((SELECT sum(extract(epoch FROM c.compared_at)) FROM shadow.comparison AS c WHERE c.snapshot_id = s.id)),
        sum((SELECT sum(extract(epoch FROM o.scored_at)) FROM shadow.scoring AS o WHERE o.snapshot_id = s.id)),
        sum((SELECT sum(extract(epoch FROM y.validated_at)) FROM shadow.validation AS y WHERE y.snapshot_id = s.id))
    ]::text
    FROM shadow.snapshot AS s
    WHERE s.deployment_id = d.id
)
FROM shadow.deployment AS d
WHERE d.name = :'deployment'
