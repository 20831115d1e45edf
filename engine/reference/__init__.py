"""The host page by page, in plain Python. It defines what the fast engine must compute."""
