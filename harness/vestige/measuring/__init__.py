"""What a metric is given, what it returns, and the statistics all metrics share."""
