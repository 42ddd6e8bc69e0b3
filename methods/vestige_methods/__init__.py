"""The unlearning methods that come with Vestige, one file or folder each."""
