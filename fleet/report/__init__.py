"""Answers for people: tables on a terminal, the comparison of arms."""
