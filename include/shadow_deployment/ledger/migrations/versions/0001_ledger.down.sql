-- The way back: everything that 0001_ledger made, evidence included.

DROP TABLE shadow.verdict, shadow.evidence, shadow.comparison, shadow.calibration, shadow.parity, shadow.validation, shadow.label, shadow.scoring,
    shadow.prediction, shadow.request, shadow.cell, shadow.snapshot, shadow.model_version, shadow.deployment;

DROP FUNCTION shadow.refuse_change, shadow.snapshot_is_whole, shadow.shard_is_whole, shadow.ensure_partitions
