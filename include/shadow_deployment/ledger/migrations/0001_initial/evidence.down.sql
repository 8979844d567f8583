DROP VIEW shadow.evidence, shadow.newest_evidence;
DROP TABLE
    shadow.disagreement, shadow.quadrant, shadow.score_bin, shadow.provisional_evidence, shadow.evidence_batch, shadow.comparison;
DROP FUNCTION shadow.evidence_is_valid;
