"""Footage of one's own on disk: a table of segments, ActivityNet's JSON, EPIC-KITCHENS-100, as the same records."""
