"""Temporal graph network: convolutions, backbone, heads, losses, interaction."""
