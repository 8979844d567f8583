-- What a page shows of a day's answers without reading them again: bins, quadrants, and which requests differ most.
-- Statements are separated by an empty line after the semicolon.

CREATE TABLE shadow.score_bin (
    challenger_id            int NOT NULL REFERENCES shadow.model_version,
    snapshot_id              int NOT NULL REFERENCES shadow.snapshot,
    champion_version         text NOT NULL,
    model                    text NOT NULL CHECK (model IN ('champion', 'challenger')),
    width                    float8 NOT NULL CHECK (width > 0),
    bin                      bigint NOT NULL,
    requests                 int NOT NULL CHECK (requests > 0),
    weight                   float8 NOT NULL,
    answer_sum               float8 NOT NULL,
    labelled                 int NOT NULL CHECK (labelled BETWEEN 0 AND requests),
    labelled_weight          float8 NOT NULL,
    labelled_weight_squares  float8 NOT NULL,
    labelled_answer_sum      float8 NOT NULL,
    label_sum                float8 NOT NULL,
    label_squares            float8 NOT NULL,
    PRIMARY KEY (challenger_id, snapshot_id, champion_version, model, width, bin)
);

COMMENT ON TABLE shadow.score_bin IS 'the requests that both answered, by the answer of one of the two, summed with their weights; rows of days may be added up';

COMMENT ON COLUMN shadow.score_bin.bin IS 'answers from bin * width to (bin + 1) * width, the upper end not in it; binary: 20 bins of 0 to 1, the last with its end';

COMMENT ON COLUMN shadow.score_bin.width IS 'regression: a power of two that suits the day, so that bins of several days lie within the widest; the outermost bins of a day hold what lies beyond them';

CREATE TABLE shadow.quadrant (
    challenger_id     int NOT NULL REFERENCES shadow.model_version,
    snapshot_id       int NOT NULL REFERENCES shadow.snapshot,
    champion_version  text NOT NULL,
    champion_yes      boolean NOT NULL,
    challenger_yes    boolean NOT NULL,
    threshold         float8 NOT NULL,
    requests          int NOT NULL CHECK (requests >= 0),
    weight            float8 NOT NULL,
    labelled          int NOT NULL CHECK (labelled BETWEEN 0 AND requests),
    positive          int NOT NULL CHECK (positive BETWEEN 0 AND labelled),
    PRIMARY KEY (challenger_id, snapshot_id, champion_version, champion_yes, challenger_yes)
);

COMMENT ON TABLE shadow.quadrant IS 'the requests that both answered, by what the two say at the threshold; of the labelled ones, how many are positive';

CREATE TABLE shadow.disagreement (
    challenger_id  int NOT NULL REFERENCES shadow.model_version,
    snapshot_id    int NOT NULL REFERENCES shadow.snapshot,
    place          int NOT NULL CHECK (place > 0),
    ordinal        int NOT NULL,
    distance       float8 NOT NULL,
    PRIMARY KEY (challenger_id, snapshot_id, place)
);

COMMENT ON TABLE shadow.disagreement IS 'which requests of a day the two answered furthest apart; the answers themselves lie with the requests, and go with them';

CREATE INDEX verdict_by_challenger ON shadow.verdict (challenger_id, day);

CREATE INDEX delivery_by_alert ON shadow.delivery (alert_id, channel);

DROP INDEX shadow.evidence_by_challenger;

CREATE INDEX evidence_by_series ON shadow.evidence (challenger_id, metric, slice_column, slice_value, day);

COMMENT ON INDEX shadow.evidence_by_series IS 'in the order of series, so that a year of a metric in every slice is read without a sort';
