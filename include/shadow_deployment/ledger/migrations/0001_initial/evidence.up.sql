-- What a day's comparison leaves: sums by metric and slice, score bins, quadrants and disagreements. A day's evidence of
-- one challenger is one row of arrays, so that a verdict on a year reads hundreds of rows, not hundreds of thousands.
CREATE TABLE shadow.comparison (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    snapshot_id     int NOT NULL REFERENCES shadow.sampled_day,
    challenger_id   int NOT NULL REFERENCES shadow.model_version,
    label_revision  int NOT NULL,
    is_final        boolean NOT NULL,
    method_digest   text NOT NULL,
    earlier_days    int NOT NULL DEFAULT 0 CHECK (earlier_days >= 0),
    repeated        int NOT NULL DEFAULT 0 CHECK (repeated >= 0),
    compared_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE shadow.comparison IS 'append-only: what a day''s evidence was computed from; another label revision or method makes the newest row stale';
COMMENT ON COLUMN shadow.comparison.earlier_days IS 'how many days before were looked at for requests that share labels with this day''s';
COMMENT ON COLUMN shadow.comparison.repeated IS 'requests that are not the first of their label, so that they are no facts of their own';
COMMENT ON COLUMN shadow.comparison.is_final IS 'whether the day was mature, so that no label is expected any more';

CREATE INDEX comparison_by_day ON shadow.comparison (snapshot_id, challenger_id, id);

CREATE FUNCTION shadow.evidence_is_valid(
    metrics text[], slice_columns text[], slice_values text[], requests int[], labelled int[], unanswered int[],
    champion_missing int[], pairs int[], identical int[], weight float8[], weight_squares float8[], champion_sum float8[],
    champion_squares float8[], challenger_sum float8[], challenger_squares float8[], difference_sum float8[],
    difference_squares float8[], difference_sum_weighted float8[], difference_squares_weighted float8[],
    unlabelled_weight float8[], unlabelled_least float8[], unlabelled_most float8[]
)
RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(
            cardinality(slice_values) = cardinality(slice_columns)
            AND array_position(metrics, NULL) IS NULL AND array_position(slice_columns, NULL) IS NULL
            AND array_position(slice_values, NULL) IS NULL
            AND format('[1:%s][1:%s]', cardinality(metrics), cardinality(slice_columns)) = ALL (ARRAY[
                array_dims(requests), array_dims(labelled), array_dims(unanswered), array_dims(champion_missing),
                array_dims(pairs), array_dims(identical), array_dims(weight), array_dims(weight_squares),
                array_dims(champion_sum), array_dims(champion_squares),
                array_dims(challenger_sum), array_dims(challenger_squares), array_dims(difference_sum),
                array_dims(difference_squares), array_dims(difference_sum_weighted), array_dims(difference_squares_weighted),
                array_dims(unlabelled_weight), array_dims(unlabelled_least), array_dims(unlabelled_most)
            ]), false)
        AND NOT EXISTS (
            SELECT FROM unnest(
                requests, labelled, unanswered, champion_missing, pairs, identical, weight, weight_squares, champion_sum,
                champion_squares, challenger_sum, challenger_squares, difference_sum, difference_squares,
                difference_sum_weighted, difference_squares_weighted, unlabelled_weight, unlabelled_least, unlabelled_most
            ) AS e (
                n, labelled, unanswered, champion_missing, pairs, identical, w, ww, c, cc, h, hh, d, dd, wd, wdd, u, least, most
            )
            WHERE NOT coalesce(
                    e.n >= 0 AND e.labelled BETWEEN 0 AND e.n AND e.pairs BETWEEN 0 AND e.n
                    AND e.identical BETWEEN 0 AND e.pairs AND e.unanswered >= 0 AND e.champion_missing >= 0
                    AND e.unanswered + e.champion_missing <= e.n AND e.u >= 0 AND e.least <= e.most, false)
                OR num_nulls(e.w, e.ww, e.c, e.cc, e.h, e.hh, e.d, e.dd, e.wd, e.wdd, e.u, e.least, e.most) > 0)
$$;
COMMENT ON FUNCTION shadow.evidence_is_valid IS 'each array has a number for every metric and slice, and no more requests are labelled, missing, paired or identical than there are';

CREATE TABLE shadow.provisional_evidence (
    deployment_id                int NOT NULL REFERENCES shadow.deployment,
    day                          date NOT NULL,
    snapshot_id                  int NOT NULL REFERENCES shadow.sampled_day,
    challenger_id                int NOT NULL REFERENCES shadow.model_version,
    champion_version             text NOT NULL,
    metrics                      text[] NOT NULL,
    slice_columns                text[] NOT NULL,
    slice_values                 text[] NOT NULL,
    requests                     int[] NOT NULL,
    labelled                     int[] NOT NULL,
    unanswered                   int[] NOT NULL,
    champion_missing             int[] NOT NULL,
    pairs                        int[] NOT NULL,
    identical                    int[] NOT NULL,
    weight                       float8[] NOT NULL,
    weight_squares               float8[] NOT NULL,
    champion_sum                 float8[] NOT NULL,
    champion_squares             float8[] NOT NULL,
    challenger_sum               float8[] NOT NULL,
    challenger_squares           float8[] NOT NULL,
    difference_sum               float8[] NOT NULL,
    difference_squares           float8[] NOT NULL,
    difference_sum_weighted      float8[] NOT NULL,
    difference_squares_weighted  float8[] NOT NULL,
    unlabelled_weight            float8[] NOT NULL,
    unlabelled_least             float8[] NOT NULL,
    unlabelled_most              float8[] NOT NULL,
    computed_at                  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (challenger_id, snapshot_id, champion_version),
    CONSTRAINT evidence_is_valid CHECK (shadow.evidence_is_valid(
        metrics, slice_columns, slice_values, requests, labelled, unanswered, champion_missing, pairs, identical, weight,
        weight_squares, champion_sum, champion_squares, challenger_sum, challenger_squares, difference_sum,
        difference_squares, difference_sum_weighted, difference_squares_weighted, unlabelled_weight, unlabelled_least,
        unlabelled_most))
);
ALTER TABLE shadow.provisional_evidence
    ALTER requests SET STORAGE EXTERNAL, ALTER labelled SET STORAGE EXTERNAL, ALTER unanswered SET STORAGE EXTERNAL,
    ALTER champion_missing SET STORAGE EXTERNAL, ALTER pairs SET STORAGE EXTERNAL,
    ALTER identical SET STORAGE EXTERNAL, ALTER weight SET STORAGE EXTERNAL, ALTER weight_squares SET STORAGE EXTERNAL,
    ALTER champion_sum SET STORAGE EXTERNAL, ALTER champion_squares SET STORAGE EXTERNAL,
    ALTER challenger_sum SET STORAGE EXTERNAL, ALTER challenger_squares SET STORAGE EXTERNAL,
    ALTER difference_sum SET STORAGE EXTERNAL, ALTER difference_squares SET STORAGE EXTERNAL,
    ALTER difference_sum_weighted SET STORAGE EXTERNAL, ALTER difference_squares_weighted SET STORAGE EXTERNAL,
    ALTER unlabelled_weight SET STORAGE EXTERNAL, ALTER unlabelled_least SET STORAGE EXTERNAL,
    ALTER unlabelled_most SET STORAGE EXTERNAL;
COMMENT ON TABLE shadow.provisional_evidence IS 'metrics that need labels on days that still wait for some, replaced whenever labels arrive; no verdict reads it';
COMMENT ON COLUMN shadow.provisional_evidence.slice_columns IS 'the slices, all requests first; each array below has one element per metric (first axis) and slice (second)';
COMMENT ON COLUMN shadow.provisional_evidence.requests IS '0 where a metric is undefined in a slice, such as an area under the curve where all labels are equal';
COMMENT ON COLUMN shadow.provisional_evidence.unanswered IS 'requests without a usable prediction of the challenger but with one of the champion, labelled ones where the metric needs a label; losses count them as charged pairs, daily values leave them out';
COMMENT ON COLUMN shadow.provisional_evidence.champion_missing IS 'requests without a usable prediction of the champion, likewise; losses count them as pairs without a difference';
COMMENT ON COLUMN shadow.provisional_evidence.labelled IS 'requests with a label; 0 for metrics that need none';
COMMENT ON COLUMN shadow.provisional_evidence.difference_sum_weighted IS 'sum of squared weight times difference, for the variance of the weighted mean';
COMMENT ON COLUMN shadow.provisional_evidence.unlabelled_weight IS 'sum of the weights of requests whose label never arrived, of a metric that bounds what they gain';
COMMENT ON COLUMN shadow.provisional_evidence.unlabelled_least IS 'sum of weight times the least gain of such a request over the labels that it may have: the champion''s loss minus the challenger''s';
COMMENT ON COLUMN shadow.provisional_evidence.unlabelled_most IS 'sum of weight times the most';

CREATE TABLE shadow.evidence_batch (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    needs_labels  boolean NOT NULL,
    revision      int NOT NULL CHECK (revision > 0),
    digest        text NOT NULL,
    LIKE shadow.provisional_evidence INCLUDING COMMENTS INCLUDING CONSTRAINTS INCLUDING DEFAULTS INCLUDING STORAGE,
    UNIQUE (challenger_id, snapshot_id, champion_version, needs_labels, revision),
    FOREIGN KEY (deployment_id) REFERENCES shadow.deployment,
    FOREIGN KEY (snapshot_id) REFERENCES shadow.sampled_day,
    FOREIGN KEY (challenger_id) REFERENCES shadow.model_version
);
DO $$  -- Postgres 18 names what was copied after the other table, and a restored dump would not
DECLARE
    copied name;
BEGIN
    FOR copied IN SELECT conname FROM pg_constraint
        WHERE conrelid = 'shadow.evidence_batch'::regclass AND conname ~ '^provisional_evidence' LOOP
        EXECUTE format('ALTER TABLE shadow.evidence_batch RENAME CONSTRAINT %I TO %I',
            copied, replace(copied, 'provisional_evidence', 'evidence_batch'));
    END LOOP;
END $$;
COMMENT ON TABLE shadow.evidence_batch IS 'append-only: a day''s final evidence of one challenger against one champion; a correction is another revision';
COMMENT ON COLUMN shadow.evidence_batch.needs_labels IS 'metrics that need labels have a row of their own, entered when the day is mature';
COMMENT ON COLUMN shadow.evidence_batch.digest IS 'SHA-256 of the row''s figures, of which some twelve digits count';

CREATE VIEW shadow.newest_evidence AS
SELECT b.*
FROM shadow.evidence_batch AS b
WHERE NOT EXISTS (
    SELECT FROM shadow.evidence_batch AS later
    WHERE (later.challenger_id, later.snapshot_id, later.champion_version, later.needs_labels)
        = (b.challenger_id, b.snapshot_id, b.champion_version, b.needs_labels)
      AND later.revision > b.revision
);
COMMENT ON VIEW shadow.newest_evidence IS 'the newest revision of each day''s final evidence: what verdicts read';

CREATE VIEW shadow.evidence AS
SELECT
    b.deployment_id, b.day, b.snapshot_id, b.challenger_id, b.champion_version,
    b.slice_columns[(e.place - 1) % cardinality(b.slice_columns) + 1] AS slice_column,
    b.slice_values[(e.place - 1) % cardinality(b.slice_columns) + 1] AS slice_value,
    b.metrics[(e.place - 1) / cardinality(b.slice_columns) + 1] AS metric,
    e.requests, e.labelled, e.unanswered, e.champion_missing, e.pairs, e.identical, e.weight, e.weight_squares,
    e.champion_sum, e.champion_squares, e.challenger_sum, e.challenger_squares, e.difference_sum, e.difference_squares,
    e.difference_sum_weighted, e.difference_squares_weighted, e.unlabelled_weight, e.unlabelled_least, e.unlabelled_most,
    b.is_final, b.computed_at
FROM (
    SELECT false AS is_final, p.* FROM shadow.provisional_evidence AS p
    UNION ALL
    SELECT
        true, deployment_id, day, snapshot_id, challenger_id, champion_version, metrics, slice_columns, slice_values,
        requests, labelled, unanswered, champion_missing, pairs, identical, weight, weight_squares, champion_sum,
        champion_squares, challenger_sum, challenger_squares, difference_sum, difference_squares,
        difference_sum_weighted, difference_squares_weighted, unlabelled_weight, unlabelled_least, unlabelled_most,
        computed_at
    FROM shadow.newest_evidence
) AS b
CROSS JOIN LATERAL unnest(
    b.requests, b.labelled, b.unanswered, b.champion_missing, b.pairs, b.identical, b.weight, b.weight_squares,
    b.champion_sum, b.champion_squares, b.challenger_sum, b.challenger_squares, b.difference_sum, b.difference_squares,
    b.difference_sum_weighted, b.difference_squares_weighted, b.unlabelled_weight, b.unlabelled_least, b.unlabelled_most
) WITH ORDINALITY AS e (
    requests, labelled, unanswered, champion_missing, pairs, identical, weight, weight_squares, champion_sum,
    champion_squares, challenger_sum, challenger_squares, difference_sum, difference_squares, difference_sum_weighted,
    difference_squares_weighted, unlabelled_weight, unlabelled_least, unlabelled_most, place
)
WHERE e.requests > 0;
COMMENT ON VIEW shadow.evidence IS 'sums over the pairs of a day and slice, weighted by the inverse inclusion probability; rows of days and slices may be added up';

CREATE TABLE shadow.score_bin (
    challenger_id            int NOT NULL REFERENCES shadow.model_version,
    snapshot_id              int NOT NULL REFERENCES shadow.sampled_day,
    champion_version         text NOT NULL,
    model                    text NOT NULL CHECK (model IN ('champion', 'challenger')),
    width                    float8 NOT NULL CHECK (width > 0),
    bin                      bigint NOT NULL,
    requests                 int NOT NULL CHECK (requests > 0),
    weight                   float8 NOT NULL,
    prediction_sum           float8 NOT NULL,
    labelled                 int NOT NULL CHECK (labelled BETWEEN 0 AND requests),
    labelled_weight          float8 NOT NULL,
    labelled_weight_squares  float8 NOT NULL,
    labelled_prediction_sum  float8 NOT NULL,
    label_sum                float8 NOT NULL,
    label_squares            float8 NOT NULL,
    PRIMARY KEY (challenger_id, snapshot_id, champion_version, model, width, bin)
);
COMMENT ON TABLE shadow.score_bin IS 'a histogram of one model''s predictions over the requests that both models answered, weighted; rows of days may be added up';
COMMENT ON COLUMN shadow.score_bin.bin IS 'predictions from bin * width up to, excluding, (bin + 1) * width; binary: 20 bins from 0 to 1, the last including 1';
COMMENT ON COLUMN shadow.score_bin.width IS 'regression: a power of two that suits the day, so that the bins of several days nest in the widest; a day''s outermost bins hold everything beyond them';

CREATE TABLE shadow.quadrant (
    challenger_id     int NOT NULL REFERENCES shadow.model_version,
    snapshot_id       int NOT NULL REFERENCES shadow.sampled_day,
    champion_version  text NOT NULL,
    champion_yes      boolean NOT NULL,
    challenger_yes    boolean NOT NULL,
    threshold         float8 NOT NULL,
    requests          int NOT NULL CHECK (requests >= 0),
    weight            float8 NOT NULL,
    labelled          int NOT NULL CHECK (labelled BETWEEN 0 AND requests),
    positive          int NOT NULL CHECK (positive BETWEEN 0 AND labelled),
    labelled_weight   float8 NOT NULL,
    positive_weight   float8 NOT NULL,
    PRIMARY KEY (challenger_id, snapshot_id, champion_version, champion_yes, challenger_yes)
);
COMMENT ON TABLE shadow.quadrant IS 'requests that both models answered, by which of the two predicts positive at the threshold; positive counts positive labels';

CREATE TABLE shadow.disagreement (
    challenger_id  int NOT NULL REFERENCES shadow.model_version,
    snapshot_id    int NOT NULL REFERENCES shadow.sampled_day,
    rank           int NOT NULL CHECK (rank > 0),
    ordinal        int NOT NULL,
    distance       float8 NOT NULL,
    PRIMARY KEY (challenger_id, snapshot_id, rank)
);
COMMENT ON TABLE shadow.disagreement IS 'a day''s requests with the largest difference between the two predictions; the predictions themselves are stored with the requests';

CALL shadow.make_append_only(ARRAY['comparison', 'evidence_batch']);
