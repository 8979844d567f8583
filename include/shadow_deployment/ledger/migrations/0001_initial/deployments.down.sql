DROP FUNCTION shadow.ensure_partitions, shadow.refuse_change;
DROP TABLE shadow.model_version, shadow.deployment;
