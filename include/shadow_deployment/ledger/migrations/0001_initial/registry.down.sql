DROP VIEW shadow.champion;
DROP TABLE shadow.promotion, shadow.approval_decision, shadow.approval_request;
DROP FUNCTION shadow.promotion_rests_on_its_verdict;
