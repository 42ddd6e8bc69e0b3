"""Writes the published project's interchange files."""

from pathlib import Path

from vestige.data.interchange import FORGET_FILE, RETAIN_FILE, to_json
from vestige.data.samples import Samples
from vestige.pipeline.store import write_atomically


def write_samples(samples: Samples, folder: Path) -> tuple[Path, Path]:
    """Writes `forget_samples_subset.json` and `retain_samples_subset.json` into `folder`; returns both paths."""
    forget, retain = folder / FORGET_FILE, folder / RETAIN_FILE
    write_atomically(forget, to_json(samples.forget, "forget"))
    write_atomically(retain, to_json(samples.retain, "retain"))
    return forget, retain
