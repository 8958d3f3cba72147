"""The command line `egopack`; the stages of the same names are these commands."""
