-- The quadrants at one threshold, added up over snapshots; labels count on mature days only.
SELECT
    q.champion_yes, q.challenger_yes, sum(q.requests)::bigint AS requests, sum(q.weight) AS weight,
    coalesce(sum(q.labelled) FILTER (WHERE q.snapshot_id = ANY(:'mature'::int[])), 0)::bigint AS labelled,
    coalesce(sum(q.positive) FILTER (WHERE q.snapshot_id = ANY(:'mature'::int[])), 0)::bigint AS positive,
    coalesce(sum(q.labelled_weight) FILTER (WHERE q.snapshot_id = ANY(:'mature'::int[])), 0) AS labelled_weight,
    coalesce(sum(q.positive_weight) FILTER (WHERE q.snapshot_id = ANY(:'mature'::int[])), 0) AS positive_weight,
    count(*)::int AS days, min(s.day) AS first, max(s.day) AS last
FROM shadow.quadrant AS q
JOIN shadow.snapshot AS s ON s.id = q.snapshot_id
WHERE q.challenger_id = :'challenger' AND q.snapshot_id = ANY(:'snapshots'::int[])
  AND q.champion_version = :'champion_version' AND q.threshold = :'threshold'
GROUP BY q.champion_yes, q.challenger_yes
