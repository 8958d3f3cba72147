"""The built-in corpus: a world, its videos, written in Ego4D's format."""
