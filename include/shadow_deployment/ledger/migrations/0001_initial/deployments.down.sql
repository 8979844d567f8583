DROP FUNCTION shadow.ensure_partitions, shadow.analyze_day, shadow.refuse_change;
DROP TABLE shadow.model_version, shadow.deployment;
