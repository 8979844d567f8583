-- Answers in bins, added up over snapshots, in bins of the widest of their widths, or of a power of two times that where
-- there would be more than 60; labels count on ripe days only.
WITH added AS (
    SELECT
        model, width, bin, sum(requests) AS requests, sum(weight) AS weight,
        sum(labelled) FILTER (WHERE snapshot_id = ANY(:'ripe'::int[])) AS labelled,
        sum(labelled_weight) FILTER (WHERE snapshot_id = ANY(:'ripe'::int[])) AS labelled_weight,
        sum(labelled_weight_squares) FILTER (WHERE snapshot_id = ANY(:'ripe'::int[])) AS labelled_weight_squares,
        sum(labelled_answer_sum) FILTER (WHERE snapshot_id = ANY(:'ripe'::int[])) AS labelled_answer_sum,
        sum(label_sum) FILTER (WHERE snapshot_id = ANY(:'ripe'::int[])) AS label_sum,
        sum(label_squares) FILTER (WHERE snapshot_id = ANY(:'ripe'::int[])) AS label_squares
    FROM shadow.score_bin
    WHERE challenger_id = :'challenger' AND snapshot_id = ANY(:'snapshots'::int[])
      AND champion_version = :'champion_version'
    GROUP BY model, width, bin
),
grid AS MATERIALIZED (
    SELECT widest * 2::float8 ^ greatest(ceil(log(2, ((upper - lower) / widest / 60)::numeric)), 0) AS widest
    FROM (
        SELECT max(width) AS widest, min(bin * width) AS lower, max((bin + 1) * width) AS upper FROM added
    ) AS a
),
kept AS MATERIALIZED (
    SELECT count(*)::int AS days, min(s.day) AS first, max(s.day) AS last
    FROM shadow.snapshot AS s
    WHERE s.id = ANY(:'snapshots'::int[]) AND EXISTS (
        SELECT FROM shadow.score_bin AS b
        WHERE b.challenger_id = :'challenger' AND b.snapshot_id = s.id AND b.champion_version = :'champion_version'
    )
)
SELECT
    model, widest AS width, floor(bin * (width / widest))::bigint AS bin, sum(requests)::bigint AS requests,
    sum(weight) AS weight, coalesce(sum(labelled), 0)::bigint AS labelled,
    coalesce(sum(labelled_weight), 0) AS labelled_weight,
    coalesce(sum(labelled_weight_squares), 0) AS labelled_weight_squares,
    coalesce(sum(labelled_answer_sum), 0) AS labelled_answer_sum,
    coalesce(sum(label_sum), 0) AS label_sum, coalesce(sum(label_squares), 0) AS label_squares,
    days, first, last
FROM added
CROSS JOIN grid
CROSS JOIN kept
GROUP BY 1, 2, 3, days, first, last
ORDER BY 1, 3
