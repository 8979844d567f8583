-- Histograms added up over snapshots, or by day, in bins of the widest of their widths, or of a power of two times that
-- where there would be more than some; labels count on mature days only.
WITH kept AS MATERIALIZED (
    SELECT b.*, s.day, s.id = ANY(:'mature'::int[]) AS mature
    FROM shadow.score_bin AS b
    JOIN shadow.snapshot AS s ON s.id = b.snapshot_id
    WHERE b.challenger_id = :'challenger' AND b.snapshot_id = ANY(:'snapshots'::int[])
      AND b.champion_version = :'champion_version'
),
grid AS MATERIALIZED (
    SELECT
        days, first, last,
        widest * 2::float8 ^ greatest(ceil(log(2, ((upper - lower) / widest / :'most'::int)::numeric)), 0) AS widest
    FROM (
        SELECT count(DISTINCT day)::int AS days, min(day) AS first, max(day) AS last, max(width) AS widest,
            min(bin * width) AS lower, max((bin + 1) * width) AS upper
        FROM kept
    ) AS a
)
SELECT
    CASE WHEN :'by_day'::bool THEN day END AS day, model, widest AS width, floor(bin * (width / widest))::bigint AS bin, sum(requests)::bigint AS requests,
    sum(weight) AS weight, coalesce(sum(labelled) FILTER (WHERE mature), 0)::bigint AS labelled,
    coalesce(sum(labelled_weight) FILTER (WHERE mature), 0) AS labelled_weight,
    coalesce(sum(labelled_weight_squares) FILTER (WHERE mature), 0) AS labelled_weight_squares,
    coalesce(sum(labelled_prediction_sum) FILTER (WHERE mature), 0) AS labelled_answer_sum,
    coalesce(sum(label_sum) FILTER (WHERE mature), 0) AS label_sum,
    coalesce(sum(label_squares) FILTER (WHERE mature), 0) AS label_squares, days, first, last
FROM kept
CROSS JOIN grid
GROUP BY 1, 2, 3, 4, days, first, last
ORDER BY 1, 2, 4
