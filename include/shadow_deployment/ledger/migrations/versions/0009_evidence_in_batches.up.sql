-- A day's evidence of a challenger lies in one row, as arrays by metric and slice: a verdict on a year then reads hundreds
-- of rows instead of hundreds of thousands. `shadow.evidence` still shows it by metric and slice.
-- Statements are separated by an empty line after the semicolon.

CREATE FUNCTION shadow.evidence_is_whole(
    metrics text[], slice_columns text[], slice_values text[], requests int[], labelled int[], pairs int[], identical int[],
    weight float8[], weight_squares float8[], champion_sum float8[], champion_squares float8[], challenger_sum float8[],
    challenger_squares float8[], difference_sum float8[], difference_squares float8[], difference_sum_weighted float8[],
    difference_squares_weighted float8[]
)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(
            cardinality(slice_values) = cardinality(slice_columns)
            AND array_position(metrics, NULL) IS NULL AND array_position(slice_columns, NULL) IS NULL
            AND array_position(slice_values, NULL) IS NULL
            AND format('[1:%s][1:%s]', cardinality(metrics), cardinality(slice_columns)) = ALL (ARRAY[
                array_dims(requests), array_dims(labelled), array_dims(pairs), array_dims(identical), array_dims(weight),
                array_dims(weight_squares), array_dims(champion_sum), array_dims(champion_squares),
                array_dims(challenger_sum), array_dims(challenger_squares), array_dims(difference_sum),
                array_dims(difference_squares), array_dims(difference_sum_weighted), array_dims(difference_squares_weighted)
            ]), false)
        AND NOT EXISTS (
            SELECT FROM unnest(
                requests, labelled, pairs, identical, weight, weight_squares, champion_sum, champion_squares,
                challenger_sum, challenger_squares, difference_sum, difference_squares, difference_sum_weighted,
                difference_squares_weighted
            ) AS e (n, labelled, pairs, identical, w, ww, c, cc, h, hh, d, dd, wd, wdd)
            WHERE NOT coalesce(
                    e.n >= 0 AND e.labelled BETWEEN 0 AND e.n AND e.pairs BETWEEN 0 AND e.n
                    AND e.identical BETWEEN 0 AND e.pairs, false)
                OR num_nulls(e.w, e.ww, e.c, e.cc, e.h, e.hh, e.d, e.dd, e.wd, e.wdd) > 0)
$$;

COMMENT ON FUNCTION shadow.evidence_is_whole IS 'each array has a number for every metric in every slice, and no more requests are labelled, paired or identical than there are';

CREATE TABLE shadow.evidence_batch (
    deployment_id             int NOT NULL REFERENCES shadow.deployment,
    day                       date NOT NULL,
    snapshot_id               int NOT NULL REFERENCES shadow.snapshot,
    challenger_id             int NOT NULL REFERENCES shadow.model_version,
    champion_version          text NOT NULL,
    metrics                   text[] NOT NULL,
    slice_columns             text[] NOT NULL,
    slice_values              text[] NOT NULL,
    requests                  int[] NOT NULL,
    labelled                  int[] NOT NULL,
    pairs                     int[] NOT NULL,
    identical                 int[] NOT NULL,
    weight                    float8[] NOT NULL,
    weight_squares            float8[] NOT NULL,
    champion_sum              float8[] NOT NULL,
    champion_squares          float8[] NOT NULL,
    challenger_sum            float8[] NOT NULL,
    challenger_squares        float8[] NOT NULL,
    difference_sum            float8[] NOT NULL,
    difference_squares        float8[] NOT NULL,
    difference_sum_weighted   float8[] NOT NULL,
    difference_squares_weighted  float8[] NOT NULL,
    computed_at               timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (challenger_id, snapshot_id, champion_version),
    CONSTRAINT evidence_is_whole CHECK (shadow.evidence_is_whole(
        metrics, slice_columns, slice_values, requests, labelled, pairs, identical, weight, weight_squares, champion_sum,
        champion_squares, challenger_sum, challenger_squares, difference_sum, difference_squares, difference_sum_weighted,
        difference_squares_weighted))
);

ALTER TABLE shadow.evidence_batch
    ALTER requests SET STORAGE EXTERNAL, ALTER labelled SET STORAGE EXTERNAL, ALTER pairs SET STORAGE EXTERNAL,
    ALTER identical SET STORAGE EXTERNAL, ALTER weight SET STORAGE EXTERNAL, ALTER weight_squares SET STORAGE EXTERNAL,
    ALTER champion_sum SET STORAGE EXTERNAL, ALTER champion_squares SET STORAGE EXTERNAL,
    ALTER challenger_sum SET STORAGE EXTERNAL, ALTER challenger_squares SET STORAGE EXTERNAL,
    ALTER difference_sum SET STORAGE EXTERNAL, ALTER difference_squares SET STORAGE EXTERNAL,
    ALTER difference_sum_weighted SET STORAGE EXTERNAL, ALTER difference_squares_weighted SET STORAGE EXTERNAL;

COMMENT ON TABLE shadow.evidence_batch IS 'a day''s evidence of one challenger against one champion; shadow.evidence shows it by metric and slice';

COMMENT ON COLUMN shadow.evidence_batch.slice_columns IS 'the slices, all requests first; the arrays below have an element for each metric (first axis) and slice (second)';

COMMENT ON COLUMN shadow.evidence_batch.requests IS '0 where a metric has no value in a slice, such as an area under the curve of labels that are all alike';

COMMENT ON COLUMN shadow.evidence_batch.difference_sum_weighted IS 'sum of squared weight times difference, for the variance of the weighted mean';

INSERT INTO shadow.evidence_batch
WITH slice AS (
    SELECT *, row_number() OVER (
            PARTITION BY challenger_id, snapshot_id, champion_version
            ORDER BY slice_column <> 'all', slice_column COLLATE "C", slice_value COLLATE "C"
        ) AS place
    FROM (SELECT DISTINCT challenger_id, snapshot_id, champion_version, slice_column, slice_value FROM shadow.evidence) AS s
),
metric AS (SELECT DISTINCT challenger_id, snapshot_id, champion_version, metric FROM shadow.evidence),
line AS (
    SELECT
        challenger_id, snapshot_id, champion_version, metric, max(e.computed_at) AS computed_at,
        array_agg(slice_column ORDER BY place) AS slice_columns, array_agg(slice_value ORDER BY place) AS slice_values,
        array_agg(coalesce(e.requests, 0) ORDER BY place) AS requests,
        array_agg(coalesce(e.labelled, 0) ORDER BY place) AS labelled,
        array_agg(coalesce(e.pairs, 0) ORDER BY place) AS pairs,
        array_agg(coalesce(e.identical, 0) ORDER BY place) AS identical,
        array_agg(coalesce(e.weight, 0) ORDER BY place) AS weight,
        array_agg(coalesce(e.weight_squares, 0) ORDER BY place) AS weight_squares,
        array_agg(coalesce(e.champion_sum, 0) ORDER BY place) AS champion_sum,
        array_agg(coalesce(e.champion_squares, 0) ORDER BY place) AS champion_squares,
        array_agg(coalesce(e.challenger_sum, 0) ORDER BY place) AS challenger_sum,
        array_agg(coalesce(e.challenger_squares, 0) ORDER BY place) AS challenger_squares,
        array_agg(coalesce(e.difference_sum, 0) ORDER BY place) AS difference_sum,
        array_agg(coalesce(e.difference_squares, 0) ORDER BY place) AS difference_squares,
        array_agg(coalesce(e.difference_sum_weighted, 0) ORDER BY place) AS difference_sum_weighted,
        array_agg(coalesce(e.difference_squares_weighted, 0) ORDER BY place) AS difference_squares_weighted
    FROM slice
    JOIN metric USING (challenger_id, snapshot_id, champion_version)
    LEFT JOIN shadow.evidence AS e USING (challenger_id, snapshot_id, champion_version, slice_column, slice_value, metric)
    GROUP BY challenger_id, snapshot_id, champion_version, metric
)
SELECT
    s.deployment_id, s.day, l.snapshot_id, l.challenger_id, l.champion_version, array_agg(metric ORDER BY metric COLLATE "C"),
    l.slice_columns, l.slice_values,
    array_agg(requests ORDER BY metric COLLATE "C"), array_agg(labelled ORDER BY metric COLLATE "C"),
    array_agg(pairs ORDER BY metric COLLATE "C"), array_agg(identical ORDER BY metric COLLATE "C"),
    array_agg(weight ORDER BY metric COLLATE "C"), array_agg(weight_squares ORDER BY metric COLLATE "C"),
    array_agg(champion_sum ORDER BY metric COLLATE "C"), array_agg(champion_squares ORDER BY metric COLLATE "C"),
    array_agg(challenger_sum ORDER BY metric COLLATE "C"), array_agg(challenger_squares ORDER BY metric COLLATE "C"),
    array_agg(difference_sum ORDER BY metric COLLATE "C"), array_agg(difference_squares ORDER BY metric COLLATE "C"),
    array_agg(difference_sum_weighted ORDER BY metric COLLATE "C"),
    array_agg(difference_squares_weighted ORDER BY metric COLLATE "C"),
    max(computed_at)
FROM line AS l
JOIN (SELECT id, deployment_id, day FROM shadow.snapshot) AS s ON s.id = l.snapshot_id
GROUP BY s.deployment_id, s.day, l.snapshot_id, l.challenger_id, l.champion_version, l.slice_columns, l.slice_values;

DROP TABLE shadow.evidence;

CREATE VIEW shadow.evidence AS
SELECT
    b.deployment_id, b.day, b.snapshot_id, b.challenger_id, b.champion_version,
    b.slice_columns[(e.place - 1) % cardinality(b.slice_columns) + 1] AS slice_column,
    b.slice_values[(e.place - 1) % cardinality(b.slice_columns) + 1] AS slice_value,
    b.metrics[(e.place - 1) / cardinality(b.slice_columns) + 1] AS metric,
    e.requests, e.labelled, e.pairs, e.identical, e.weight, e.weight_squares, e.champion_sum, e.champion_squares,
    e.challenger_sum, e.challenger_squares, e.difference_sum, e.difference_squares, e.difference_sum_weighted,
    e.difference_squares_weighted,
    b.computed_at
FROM shadow.evidence_batch AS b
CROSS JOIN LATERAL unnest(
    b.requests, b.labelled, b.pairs, b.identical, b.weight, b.weight_squares, b.champion_sum, b.champion_squares,
    b.challenger_sum, b.challenger_squares, b.difference_sum, b.difference_squares, b.difference_sum_weighted,
    b.difference_squares_weighted
) WITH ORDINALITY AS e (
    requests, labelled, pairs, identical, weight, weight_squares, champion_sum, champion_squares, challenger_sum,
    challenger_squares, difference_sum, difference_squares, difference_sum_weighted, difference_squares_weighted,
    place
)
WHERE e.requests > 0;

COMMENT ON VIEW shadow.evidence IS 'sums over the pairs of a day and slice, each weighted by the inverse inclusion probability; rows of days and slices may be added up';
