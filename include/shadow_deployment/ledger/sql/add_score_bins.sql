-- A day's answers in bins, of one challenger and of the champion. Running it again changes nothing; bins that are no
-- longer there go.
WITH binned AS (
    SELECT *
    FROM unnest(
        :'champion_version'::text[], :'model'::text[], :'width'::float8[], :'bin'::bigint[], :'requests'::int[],
        :'labelled'::int[], :'weight'::float8[], :'answer_sum'::float8[], :'labelled_weight'::float8[],
        :'labelled_weight_squares'::float8[], :'labelled_answer_sum'::float8[], :'label_sum'::float8[],
        :'label_squares'::float8[]
    ) AS n (
        champion_version, model, width, bin, requests, labelled, weight, answer_sum, labelled_weight,
        labelled_weight_squares, labelled_answer_sum, label_sum, label_squares
    )
),
gone AS (
    DELETE FROM shadow.score_bin AS b
    WHERE b.challenger_id = :'challenger' AND b.snapshot_id = :'snapshot'
      AND NOT EXISTS (
          SELECT FROM binned AS n
          WHERE (n.champion_version, n.model, n.width, n.bin) = (b.champion_version, b.model, b.width, b.bin)
      )
    RETURNING 1
),
kept AS (
    INSERT INTO shadow.score_bin AS b (
        challenger_id, snapshot_id, champion_version, model, width, bin, requests, labelled, weight, answer_sum,
        labelled_weight, labelled_weight_squares, labelled_answer_sum, label_sum, label_squares
    )
    SELECT :'challenger', :'snapshot', binned.* FROM binned
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
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM kept)
