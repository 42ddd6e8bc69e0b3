"""What the steps of a stream have cost by then."""

from dataclasses import replace

from tests.results.made import results
from vestige.pipeline.own import OWN_ROWS, row_label
from vestige.results.pooling import Results
from vestige.results.streams import spent


def stream(rows: dict[str, float], steps: int) -> Results:
    """Rows that take the same seconds at every step."""
    made = results({label: {"seconds": (seconds, 0.0)} for label, seconds in rows.items()})
    every = []
    for step in range(1, steps + 1):
        for item in made.finished:
            label = item.record.identity.label
            row = next((of for of in OWN_ROWS.values() if label.endswith(f": {of}")), "method")
            identity = replace_model(item.record.identity, step=step, row=row)
            every.append(replace(item, record=replace_model(item.record, identity=identity)))
    last = tuple(item for item in every if item.record.identity.step == steps)
    earlier = tuple(item for item in every if item.record.identity.step != steps)
    return replace(made, about={**made.about, "steps": steps}, finished=last, earlier=earlier)


def replace_model(model, **changes):  # type: ignore[no-untyped-def]
    return model.model_copy(update=changes)


def test_every_step_is_paid_for_and_a_base_that_is_trained_once_is_no_step() -> None:
    rows = {"retrain": 10.0, "sisa": 4.0, row_label("sisa", "gold"): 5.0, row_label("sisa", "base"): 100.0}
    found = {(one.label, one.step): (one.seconds, one.ratio) for one in spent(stream(rows, 3))}
    assert found["sisa", 3] == (12.0, 0.4)
    assert found[row_label("sisa", "gold"), 2] == (10.0, 0.5)
    assert row_label("sisa", "base") not in {label for label, _ in found}


def test_a_step_of_gold_that_is_missing_leaves_no_ratio_from_there_on() -> None:
    made = stream({"retrain": 10.0, "finetune": 4.0}, 3)

    def lost(item):  # type: ignore[no-untyped-def]
        gone = item.record.identity.label == "retrain" and item.record.identity.step == 2
        outcome = replace_model(item.record.outcome, status="method_error", measurements=())
        return replace(item, record=replace_model(item.record, outcome=outcome)) if gone else item

    broken = replace(made, earlier=tuple(map(lost, made.earlier)))
    found = {one.step: (one.seconds, one.ratio) for one in spent(broken) if one.label == "finetune"}
    assert found == {1: (4.0, 0.4), 2: (8.0, None), 3: (12.0, None)}
