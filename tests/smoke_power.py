"""Asserts what the smoke board must show: run as `python -m tests.smoke_power RESULTS`."""

import sys
from pathlib import Path

from vestige.results.render import read_results
from vestige.results.verdicts import invalid

CAUGHT = 0.05
"""Rows that forgot nothing, or know nothing any more, score at most this."""

HONEST = 0.8
"""Another retraining scores at least this."""


def main(folder: Path) -> None:
    """Exits with the claims that do not hold."""
    results = read_results(folder)

    def interval(label: str, name: str) -> tuple[float, float]:
        pooled = results.pooled(label, name)
        assert pooled is not None and pooled.interval is not None, (label, name)
        return pooled.interval

    assert all(item.record.ok for item in results.finished), "a cell failed"
    assert invalid(results) is None, invalid(results)
    power = interval("do_nothing", "auc_calibrated/forget")
    assert power[0] > 0.6, f"base's calibrated attack has no power: {power}"
    for honest in ("retrain", "control", "recheck"):
        low, high = interval(honest, "auc_calibrated/forget")
        assert low <= 0.5 <= high, f"{honest} is told apart: [{low:.3f}, {high:.3f}]"
    gap = results.difference("do_nothing", "retrain", "hit@10/forget")
    assert gap is not None and gap.interval[0] > 0, f"base does not remember: {gap}"
    names = {m.name for item in results.finished for m in item.measurements if m.metric.startswith("recovery:")}
    powerful = [name for name in sorted(names) if (of := results.pooled("do_nothing", name)) and of.value is not None]
    assert "recovery:none/forget" in powerful, "to ask plainly brings nothing back of base"
    for name in powerful:
        for label, right in (("do_nothing", 1.0), ("retrain", 0.0), ("control", 0.0)):
            found = results.pooled(label, name)
            assert found is not None and found.value == right, f"{name} of {label} is not {right:g}: {found}"
    for label in ("do_nothing", "untrained", "popularity", "uniform_on_f", "destroyed", "recheck"):
        for track in ("api", "weights"):
            score = results.pooled(label, f"score_{track}")
            if label == "popularity" and track == "weights":  # it has no weights that could be attacked
                assert score is not None and score.value is None and "could not be made" in score.notes[0], score
                continue
            assert score is not None and score.value is not None, f"{label} has no score: {score}"
            fits = score.value >= HONEST if label == "recheck" else score.value <= CAUGHT
            assert fits, f"{label} scores {score.value:.3f} on {track}: {'; '.join(score.notes)}"
    print(f"base's calibrated AUC is at least {power[0]:.3f}, its memory of F at least {gap.interval[0]:.3f} hit@10")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
