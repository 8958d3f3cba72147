"""Sources of annotations, a module each; table.py lists them."""
