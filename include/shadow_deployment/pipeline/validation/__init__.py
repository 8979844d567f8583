"""The steps `validate_inputs` and `validate_predictions`, and what they find beside expectations."""
