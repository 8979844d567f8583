-- Delete the bins of one challenger's day that no longer occur.
DELETE FROM shadow.score_bin
WHERE challenger_id = :'challenger_id' AND snapshot_id = :'snapshot_id'
  AND (champion_version, model, width, bin) NOT IN (
      SELECT * FROM unnest(:'champion_version'::text[], :'model'::text[], :'width'::float8[], :'bin'::bigint[])
  )
