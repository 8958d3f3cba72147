"""Every reader of files, given files that are damaged at random; `python -m tests.fuzz --help`."""
