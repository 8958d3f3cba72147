"""Predictions, scores, the comparison of the regimes."""
