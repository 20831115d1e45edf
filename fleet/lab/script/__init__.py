"""Experiments of one's own on a simulated host, in the language of the recorded cases."""
