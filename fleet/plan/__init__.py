"""The plan: exogenous demands with times and ids, the same for every arm."""
