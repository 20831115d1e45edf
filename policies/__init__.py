"""Kernel profiles and the policies compared: decision tables, as data.

A *profile* fills every cell of the table (what a plain kernel does); a *pin policy* and an
*offline policy* override named cells; a *sizing preset* says how much of the memory is
ZONE_MOVABLE. ``policies.arms.parse_arm`` composes them; ``policies.registry`` finds them by name.
"""
