DROP TABLE shadow.withdrawal, shadow.trial_training, shadow.trial;
