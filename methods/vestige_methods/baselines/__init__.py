"""The baselines that the literature compares with: one file a method, one optimizer loop for most."""
