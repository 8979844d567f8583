-- The way back: everything that 0002_registry made, the history of promotions included.

DROP VIEW shadow.champion;

DROP TABLE shadow.promotion;

DROP FUNCTION shadow.promotion_rests_on_its_verdict
