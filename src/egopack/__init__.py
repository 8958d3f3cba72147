"""Hier-EgoPack: one hierarchical temporal graph network for five egocentric-video tasks (arXiv 2502.02487)."""
