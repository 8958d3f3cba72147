"""Ego4D on disk: the only place that knows its field names."""
