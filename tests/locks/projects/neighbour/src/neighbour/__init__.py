"""A package of the neighbourhood."""
