DROP TABLE shadow.acknowledgement, shadow.withdrawal, shadow.trial_training, shadow.trial;
