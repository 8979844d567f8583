DROP ROUTINE shadow.ensure_partitions, shadow.analyze_day, shadow.make_append_only, shadow.refuse_change;
DROP TABLE shadow.model_version, shadow.deployment;
