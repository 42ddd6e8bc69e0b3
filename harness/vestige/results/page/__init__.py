"""The page of a board: one self-contained HTML file, and the picture that stands in `leaderboard.md`."""
