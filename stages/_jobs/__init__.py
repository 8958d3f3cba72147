"""Stages of the pipeline side by side: DVC says what depends on what and runs each, this says when."""
