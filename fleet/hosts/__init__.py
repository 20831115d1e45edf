"""Host class and sizing to engine shapes, and what a fresh host holds."""
