DROP VIEW shadow.newest_validation, shadow.newest_replay_check;
DROP TABLE shadow.verdict, shadow.verification, shadow.calibration, shadow.replay_check, shadow.validation;
