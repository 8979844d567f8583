"""Predictors: a batch of snapshot rows in, a prediction or an error for each row out. One file a kind of model."""
