"""Temporal detection: compiled non-maximum suppression and average precision."""
