"""What holds for every test."""

import signal

# A shell that starts the tests in the background has SIGINT ignored, and children inherit that:
# tests that interrupt a child would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
