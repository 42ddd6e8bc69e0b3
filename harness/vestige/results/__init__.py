"""From finished cells to records, tables and accepted results."""
