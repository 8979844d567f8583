-- One challenger's evidence, by metric, slice (all first) and day.
SELECT *
FROM shadow.evidence
WHERE challenger_id = :'challenger'
  AND snapshot_id = ANY(:'snapshots'::int[])
  AND (:'champion_version'::text IS NULL OR champion_version = :'champion_version')
  AND (:'metrics'::text[] IS NULL OR metric = ANY(:'metrics'))
  AND (:'slices'::text[] IS NULL OR slice_column = ANY(:'slices'))
ORDER BY metric, slice_column <> 'all', slice_column COLLATE "C", slice_value COLLATE "C", day, champion_version COLLATE "C"
