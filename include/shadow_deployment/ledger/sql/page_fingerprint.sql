-- Changes whenever anything may change that a page shows of the days of a deployment, beside what
-- deployment_fingerprints.sql covers: sums of the times at which rows were written, to the microsecond, so that a
-- rewritten row counts too.
SELECT ARRAY[
    count(*), sum(s.label_revision), sum(extract(epoch FROM s.labels_until)), sum(extract(epoch FROM s.created_at)),
    sum((SELECT sum(extract(epoch FROM c.compared_at)) FROM shadow.comparison AS c WHERE c.snapshot_id = s.id)),
    sum((SELECT sum(extract(epoch FROM o.scored_at)) FROM shadow.scoring AS o WHERE o.snapshot_id = s.id)),
    sum((SELECT sum(extract(epoch FROM v.validated_at)) FROM shadow.validation AS v WHERE v.snapshot_id = s.id)),
    sum((SELECT count(*) FROM shadow.replay_check AS r WHERE r.snapshot_id = s.id)),
    sum((SELECT count(*) FROM shadow.drift AS f WHERE f.snapshot_id = s.id))
]::text
FROM shadow.labelled_snapshot AS s
JOIN shadow.deployment AS d ON d.id = s.deployment_id
WHERE d.name = :'deployment'
