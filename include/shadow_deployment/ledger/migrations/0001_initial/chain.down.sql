DROP TRIGGER verdict_is_chained ON shadow.verdict;
DROP TRIGGER promotion_is_chained ON shadow.promotion;
DROP TABLE shadow.chain;
DROP FUNCTION shadow.append_to_chain, shadow.chain_hash;
