DROP VIEW shadow.evidence;
DROP TABLE shadow.disagreement, shadow.quadrant, shadow.score_bin, shadow.evidence_batch, shadow.comparison;
DROP FUNCTION shadow.evidence_is_valid;
