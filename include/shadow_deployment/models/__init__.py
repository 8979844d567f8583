"""Predictors: a batch of snapshot rows in, a prediction or an error for each row out; one file a kind of model.

Imported by `pipeline` and the layers above it.
"""
