"""What was checked besides verdicts: expectations, replay checks, calibrations."""
