"""The network of any regime, its checkpoints, its prototypes."""
