-- A day's answers of one challenger and of the champion in bins, and the quadrants of what the two say at the threshold.
-- Only requests that both answered count. Running it again gives the same rows; bins that are no longer there go.
WITH answered AS (
    SELECT
        r.champion_version, 1 / r.inclusion_probability AS weight, r.champion, p.value AS challenger, l.value AS label
    FROM shadow.request AS r
    JOIN shadow.prediction AS p USING (day, snapshot_id, ordinal)
    LEFT JOIN shadow.label AS l
        ON l.day = r.day AND l.snapshot_id = r.snapshot_id AND l.ordinal = r.ordinal AND l.conflict IS NULL
    WHERE r.day = :'day' AND r.snapshot_id = :'snapshot' AND p.day = :'day' AND p.challenger_id = :'challenger'
      AND r.champion IS NOT NULL AND p.value IS NOT NULL
    ORDER BY r.ordinal  -- sums of doubles depend on their order
),
spread AS (  -- where all but two in a hundred answers lie
    SELECT q[1] AS low, q[2] AS high
    FROM (
        SELECT percentile_disc(ARRAY[0.01, 0.99]) WITHIN GROUP (ORDER BY u.answer) AS q
        FROM answered
        CROSS JOIN LATERAL (VALUES (champion), (challenger)) AS u (answer)
        WHERE :'task' = 'regression'
    ) AS a
),
sized AS MATERIALIZED (  -- 16 to 32 bins of a power of two between them, and no more than 1e12 from 0 to any
    SELECT
        CASE WHEN :'task' = 'binary' THEN 0.05
            ELSE 2::float8 ^ ceil(log(2, (
                CASE
                    WHEN low < high THEN greatest(high / 32 - low / 32, greatest(-low, high) * 1e-12, 1e-300)
                    WHEN low = 0 THEN 1
                    ELSE greatest(abs(low) / 32, 1e-300)
                END
            )::numeric)) END AS width,
        low, high
    FROM spread
),
grid AS MATERIALIZED (
    SELECT width, floor(low / width)::bigint - 4 AS first, floor(high / width)::bigint + 4 AS last FROM sized
),
placed AS (
    SELECT
        a.*, g.width,
        CASE WHEN :'task' = 'binary' THEN least(floor(champion * 20), 19)
            ELSE greatest(least(floor(champion / g.width), g.last), g.first) END AS champion_bin,
        CASE WHEN :'task' = 'binary' THEN least(floor(challenger * 20), 19)
            ELSE greatest(least(floor(challenger / g.width), g.last), g.first) END AS challenger_bin,
        CASE WHEN :'task' = 'binary' THEN champion >= :'threshold'::float8 END AS champion_yes,
        CASE WHEN :'task' = 'binary' THEN challenger >= :'threshold'::float8 END AS challenger_yes
    FROM answered AS a
    CROSS JOIN grid AS g
),
joint AS (  -- one pass over the requests; what follows are its margins
    SELECT
        champion_version, width, champion_bin, challenger_bin, champion_yes, challenger_yes,
        count(*) AS requests,
        sum(weight) AS weight,
        sum(weight * champion) AS champion_sum,
        sum(weight * challenger) AS challenger_sum,
        count(label) AS labelled,
        count(*) FILTER (WHERE label = 1) AS positive,
        coalesce(sum(weight) FILTER (WHERE label IS NOT NULL), 0) AS labelled_weight,
        coalesce(sum(weight ^ 2) FILTER (WHERE label IS NOT NULL), 0) AS labelled_weight_squares,
        coalesce(sum(weight * champion) FILTER (WHERE label IS NOT NULL), 0) AS champion_labelled_sum,
        coalesce(sum(weight * challenger) FILTER (WHERE label IS NOT NULL), 0) AS challenger_labelled_sum,
        coalesce(sum(weight * label), 0) AS label_sum,
        coalesce(sum(weight * label ^ 2), 0) AS label_squares
    FROM placed
    GROUP BY champion_version, width, champion_bin, challenger_bin, champion_yes, challenger_yes
),
binned AS (
    SELECT
        j.champion_version, m.model, j.width, m.bin::bigint AS bin,
        sum(requests) AS requests, sum(weight) AS weight, sum(m.answer_sum) AS answer_sum,
        sum(labelled) AS labelled, sum(labelled_weight) AS labelled_weight,
        sum(labelled_weight_squares) AS labelled_weight_squares, sum(m.labelled_answer_sum) AS labelled_answer_sum,
        sum(label_sum) AS label_sum, sum(label_squares) AS label_squares
    FROM (SELECT * FROM joint ORDER BY champion_bin, challenger_bin, champion_yes, challenger_yes) AS j
    CROSS JOIN LATERAL (
        VALUES
            ('champion', champion_bin, champion_sum, champion_labelled_sum),
            ('challenger', challenger_bin, challenger_sum, challenger_labelled_sum)
    ) AS m (model, bin, answer_sum, labelled_answer_sum)
    GROUP BY j.champion_version, m.model, j.width, m.bin
),
gone AS (  -- never those of a day whose requests are gone
    DELETE FROM shadow.score_bin AS b
    WHERE b.challenger_id = :'challenger' AND b.snapshot_id = :'snapshot' AND EXISTS (SELECT FROM binned)
      AND NOT EXISTS (
          SELECT FROM binned AS n
          WHERE (n.champion_version, n.model, n.width, n.bin) = (b.champion_version, b.model, b.width, b.bin)
      )
    RETURNING 1
),
kept AS (
    INSERT INTO shadow.score_bin AS b (
        challenger_id, snapshot_id, champion_version, model, width, bin, requests, weight, answer_sum,
        labelled, labelled_weight, labelled_weight_squares, labelled_answer_sum, label_sum, label_squares
    )
    SELECT
        :'challenger', :'snapshot', champion_version, model, width, bin, requests, weight, answer_sum,
        labelled, labelled_weight, labelled_weight_squares, labelled_answer_sum, label_sum, label_squares
    FROM binned
    ON CONFLICT (challenger_id, snapshot_id, champion_version, model, width, bin) DO UPDATE SET
        requests = excluded.requests, weight = excluded.weight, answer_sum = excluded.answer_sum,
        labelled = excluded.labelled, labelled_weight = excluded.labelled_weight,
        labelled_weight_squares = excluded.labelled_weight_squares,
        labelled_answer_sum = excluded.labelled_answer_sum, label_sum = excluded.label_sum,
        label_squares = excluded.label_squares
    WHERE (
        b.requests, b.weight, b.answer_sum, b.labelled, b.labelled_weight, b.labelled_weight_squares,
        b.labelled_answer_sum, b.label_sum, b.label_squares
    ) IS DISTINCT FROM (
        excluded.requests, excluded.weight, excluded.answer_sum, excluded.labelled, excluded.labelled_weight,
        excluded.labelled_weight_squares, excluded.labelled_answer_sum, excluded.label_sum, excluded.label_squares
    )
    RETURNING 1
),
quadrants AS (
    INSERT INTO shadow.quadrant AS q (
        challenger_id, snapshot_id, champion_version, champion_yes, challenger_yes, threshold, requests, weight,
        labelled, positive
    )
    SELECT
        :'challenger', :'snapshot', j.champion_version, s.champion_yes, s.challenger_yes, :'threshold'::float8,
        coalesce(sum(j.requests) FILTER (WHERE is_in), 0), coalesce(sum(j.weight) FILTER (WHERE is_in), 0),
        coalesce(sum(j.labelled) FILTER (WHERE is_in), 0), coalesce(sum(j.positive) FILTER (WHERE is_in), 0)
    FROM (SELECT * FROM joint WHERE champion_yes IS NOT NULL ORDER BY champion_bin, challenger_bin) AS j
    CROSS JOIN (VALUES (true, true), (true, false), (false, true), (false, false)) AS s (champion_yes, challenger_yes)
    CROSS JOIN LATERAL (
        SELECT (j.champion_yes, j.challenger_yes) = (s.champion_yes, s.challenger_yes) AS is_in
    ) AS i
    GROUP BY j.champion_version, s.champion_yes, s.challenger_yes
    ON CONFLICT (challenger_id, snapshot_id, champion_version, champion_yes, challenger_yes) DO UPDATE SET
        threshold = excluded.threshold, requests = excluded.requests, weight = excluded.weight,
        labelled = excluded.labelled, positive = excluded.positive
    WHERE (q.threshold, q.requests, q.weight, q.labelled, q.positive)
        IS DISTINCT FROM (
            excluded.threshold, excluded.requests, excluded.weight, excluded.labelled, excluded.positive
        )
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM kept) + (SELECT count(*) FROM quadrants)
