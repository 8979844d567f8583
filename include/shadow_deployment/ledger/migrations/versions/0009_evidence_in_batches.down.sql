-- The way back: a row for each day, metric and slice.
ALTER VIEW shadow.evidence RENAME TO evidence_one_by_one;

CREATE TABLE shadow.evidence (
    deployment_id             int NOT NULL REFERENCES shadow.deployment,
    day                       date NOT NULL,
    snapshot_id               int NOT NULL REFERENCES shadow.snapshot,
    challenger_id             int NOT NULL REFERENCES shadow.model_version,
    champion_version          text NOT NULL,
    slice_column              text NOT NULL,
    slice_value               text NOT NULL,
    metric                    text NOT NULL,
    requests                  int NOT NULL CHECK (requests >= 0),
    labelled                  int NOT NULL CHECK (labelled BETWEEN 0 AND requests),
    pairs                     int NOT NULL CHECK (pairs BETWEEN 0 AND requests),
    identical                 int NOT NULL CHECK (identical BETWEEN 0 AND pairs),
    weight                    float8 NOT NULL,
    weight_squares            float8 NOT NULL,
    champion_sum              float8 NOT NULL,
    champion_squares          float8 NOT NULL,
    challenger_sum            float8 NOT NULL,
    challenger_squares        float8 NOT NULL,
    difference_sum            float8 NOT NULL,
    difference_squares        float8 NOT NULL,
    difference_sum_weighted   float8 NOT NULL,
    difference_squares_weighted  float8 NOT NULL,
    computed_at               timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (snapshot_id, challenger_id, champion_version, slice_column, slice_value, metric)
);

COMMENT ON TABLE shadow.evidence IS 'sums over the pairs of a day and slice, each weighted by the inverse inclusion probability; rows of days and slices may be added up';

COMMENT ON COLUMN shadow.evidence.difference_sum_weighted IS 'sum of squared weight times difference, for the variance of the weighted mean';

CREATE INDEX evidence_by_series ON shadow.evidence (challenger_id, metric, slice_column, slice_value, day);

COMMENT ON INDEX shadow.evidence_by_series IS 'in the order of series, so that a year of a metric in every slice is read without a sort';

INSERT INTO shadow.evidence SELECT * FROM shadow.evidence_one_by_one;

DROP VIEW shadow.evidence_one_by_one;

DROP TABLE shadow.evidence_batch;

DROP FUNCTION shadow.evidence_is_whole;
