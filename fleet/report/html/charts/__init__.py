"""The charts of a page, one per file: each says what it found in its title."""
