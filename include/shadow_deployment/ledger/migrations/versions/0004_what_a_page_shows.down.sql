-- The way back: everything that 0004_what_a_page_shows made. The next comparison makes the rows again from the requests.

DROP INDEX shadow.evidence_by_series;

CREATE INDEX evidence_by_challenger ON shadow.evidence (challenger_id, metric, slice_column, day);

DROP INDEX shadow.delivery_by_alert;

DROP INDEX shadow.verdict_by_challenger;

DROP TABLE shadow.disagreement;

DROP TABLE shadow.quadrant;

DROP TABLE shadow.score_bin;
