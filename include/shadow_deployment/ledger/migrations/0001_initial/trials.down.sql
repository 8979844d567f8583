DROP TABLE shadow.acknowledgement, shadow.withdrawal, shadow.newer_versions, shadow.trial_training, shadow.trial;
