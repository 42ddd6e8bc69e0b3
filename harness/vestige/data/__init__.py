"""Interactions, how they are split, and the queries that are asked of a recommender."""
