-- Histograms by day, in bins of the widest of their widths, or of a power of two times that where there would be more
-- than 200.
WITH kept AS MATERIALIZED (
    SELECT b.*, s.day
    FROM shadow.score_bin AS b
    JOIN shadow.snapshot AS s ON s.id = b.snapshot_id
    WHERE b.challenger_id = :'challenger' AND b.snapshot_id = ANY(:'snapshots'::int[])
      AND b.champion_version = :'champion_version'
),
grid AS MATERIALIZED (
    SELECT
        max(width) * 2::float8 ^ greatest(
            ceil(log(2, ((max((bin + 1) * width) - min(bin * width)) / max(width) / 200)::numeric)), 0) AS widest
    FROM kept
)
SELECT day, model, floor(bin * (width / widest))::bigint AS bin, sum(requests)::bigint AS requests, sum(weight) AS weight
FROM kept
CROSS JOIN grid
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
