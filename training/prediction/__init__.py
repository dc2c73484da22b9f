"""Predictions for any number of documents, in several processes, into files that are resumed."""
