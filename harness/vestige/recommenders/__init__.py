"""What a recommender is, how it is scored, and the ones that come with Vestige."""
