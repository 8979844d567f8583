-- Remove daily values that are undefined now: a label that was taken back can leave a slice with one class.
DELETE FROM shadow.evidence AS e
WHERE e.snapshot_id = :'snapshot' AND e.challenger_id = :'challenger' AND e.metric = ANY(:'daily'::text[])
  AND (e.champion_version, e.slice_column, e.slice_value, e.metric) NOT IN (
      SELECT *
      FROM unnest(:'champion_version'::text[], :'slice_column'::text[], :'slice_value'::text[], :'metric'::text[])
  )
