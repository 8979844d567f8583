-- The newest revisions of one challenger's final evidence; of metrics that need labels those of mature days.
SELECT id
FROM shadow.newest_evidence
WHERE challenger_id = :'challenger'
  AND snapshot_id = ANY(:'snapshots'::int[])
  AND (NOT needs_labels OR snapshot_id = ANY(:'mature'::int[]))
  AND (:'champion_version'::text IS NULL OR champion_version = :'champion_version')
ORDER BY id
