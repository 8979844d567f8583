DROP TABLE shadow.verdict, shadow.calibration, shadow.replay_check, shadow.validation;
