"""From a board to records: plan, store, workers."""
