"""What is said about a board's numbers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.results.made import results
from vestige.measuring.statistics import Estimate
from vestige.pipeline.own import row_label
from vestige.results import verdicts
from vestige.results.tables import markdown
from vestige_metrics.plugin import vestige_metrics

ROWS = {
    "do_nothing": {"ndcg@10/retain": (0.08, 0.004), "hit@10/retain": (0.15, 0.01), "hit@10/forget": (0.37, 0.01)},
    "retrain": {"ndcg@10/retain": (0.08, 0.004), "hit@10/retain": (0.16, 0.01), "hit@10/forget": (0.23, 0.01)},
    "worse": {"ndcg@10/retain": (0.02, 0.004), "hit@10/retain": (0.10, 0.01), "hit@10/forget": (0.23, 0.01)},
    "untrained": {"ndcg@10/retain": (0.001, 0.001), "hit@10/retain": (0.01, 0.01), "hit@10/forget": (0.01, 0.01)},
    "control": {"ndcg@10/retain": (0.081, 0.004), "hit@10/retain": (0.16, 0.01), "hit@10/forget": (0.23, 0.01)},
    "popularity": {"ndcg@10/retain": (0.04, 0.004), "hit@10/retain": (0.08, 0.01), "hit@10/forget": (0.11, 0.01)},
}
CONTROLS = ("untrained", "control", "popularity")


def test_holm_by_hand() -> None:
    # 0.01·4, 0.02·3, then 0.03·2 = 0.06 kept up to 0.06, and 0.2.
    assert verdicts.holm([0.02, 0.2, 0.01, 0.03]) == pytest.approx([0.06, 0.2, 0.04, 0.06])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_stays_between_single_and_bonferroni(p_values: list[float]) -> None:
    adjusted = verdicts.holm(p_values)
    for p, q in zip(p_values, adjusted, strict=True):
        assert p <= q <= min(1.0, len(p_values) * p) + 1e-12
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.asarray(adjusted)[order]) >= 0).all()


def test_holm_keeps_false_alarms_in_check() -> None:
    """Ten rows that are gold: unadjusted, one in three boards would accuse somebody."""
    rng = np.random.default_rng(0)
    p_values = 2 * np.minimum(u := rng.random((2000, 10)), 1 - u)
    alone = (p_values < 0.05).any(axis=1).mean()
    together = np.mean([min(verdicts.holm(list(row))) < 0.05 for row in p_values])
    assert alone > 0.3
    assert together < 0.065


def test_a_row_that_differs_is_named_and_the_others_are_not() -> None:
    compared = {c.label: c for c in verdicts.against_gold(results(ROWS, CONTROLS), "ndcg@10/retain")}
    assert set(compared) == {"do_nothing", "worse"}  # controls compete with nobody, gold not with itself
    assert compared["worse"].p < 0.001
    assert compared["do_nothing"].p > 0.05
    text = markdown(results(ROWS, CONTROLS))
    assert "Different: worse (-0.06" in text
    assert "p adjusted for 2 rows (Holm)" in text


COLLATERAL = {
    "do_nothing": {"collateral/neighbours": (0.046, 0.008)},
    "retrain": {"collateral/neighbours": (0.0, 0.0)},
    "harmful": {"collateral/neighbours": (-0.05, 0.008)},
    "control": {"collateral/neighbours": (0.042, 0.008)},
    "recheck": {"collateral/neighbours": (0.001, 0.008)},
}


def test_a_gold_that_is_the_odd_one_out_is_said_to_be() -> None:
    """A planted gold that is off: everybody differs from it, another retraining too, and only one row from both."""
    name = "collateral/neighbours"
    made = results(COLLATERAL, ("control", "recheck"))
    assert [c.label for c in verdicts.against_gold(made, name) if c.p < 0.05] == ["do_nothing", "harmful"]
    assert [c.label for c in verdicts.retrainings_apart(made, name)] == ["control"]
    assert [c.label for c in verdicts.against_control(made, name) if c.p < 0.05] == ["harmful"]
    text = markdown(made)
    assert "Gold with another seed differs from it: control (0.042" in text
    assert "Against control: Different: harmful" in text


def test_where_retrainings_agree_nothing_is_excused() -> None:
    rows = {**COLLATERAL, "control": {"collateral/neighbours": (0.002, 0.008)}}
    made = results(rows, ("control", "recheck"))
    assert verdicts.retrainings_apart(made, "collateral/neighbours") == []
    text = markdown(made)
    assert "collateral, against gold, p adjusted for 2 rows (Holm). Different: do_nothing" in text
    assert "another seed" not in text.partition("## How to read this")[0]


def test_nothing_varies() -> None:
    same = Estimate(0.0, np.zeros(10))
    assert verdicts.two_sided(same) == 1.0
    assert verdicts.two_sided(same.plus(0.1)) == 0.0


@pytest.mark.parametrize(("forgotten", "few"), [(1, True), (4, True), (5, False), (100, False)])
def test_a_board_that_forgets_very_few_says_so(forgotten: int, few: bool) -> None:
    found = results(ROWS, CONTROLS, forgotten=forgotten)
    said = [line for line in verdicts.warnings(found) if line.startswith(f"Only {forgotten} forgotten users")]
    assert bool(said) == few == ("**Only" in markdown(found))
    # Nobody is told apart by one user, whose difference has no spread; of those who stay there are many.
    assert bool(verdicts.against_gold(found, "hit@10/forget")) != few
    assert verdicts.against_gold(found, "hit@10/retain")
    assert (verdicts.against_best(found, "hit@10/forget")[0] is None) or not few


def test_the_detectable_difference_is_found_in_four_of_five_boards() -> None:
    smallest = verdicts.detectable(results(ROWS, CONTROLS), "ndcg@10/retain")
    assert smallest is not None
    error = 0.004 * 2**0.5  # of a difference of two rows
    rng = np.random.default_rng(1)
    drawn = smallest + error * rng.standard_normal(20_000)
    found = np.mean([abs(d) / error > 1.959964 for d in drawn])
    assert found == pytest.approx(0.8, abs=0.03)


def test_retrainings_that_do_not_vary_promise_no_detection() -> None:
    """Withdrawn items: gold and control recommend none, and a difference of 0.0000 would seem to be found."""
    name = "hit@10/forget"
    rows = {**ROWS, "retrain": {**ROWS["retrain"], name: (0.0, 0.0)}, "control": {**ROWS["control"], name: (0.0, 0.0)}}
    assert verdicts.detectable(results(rows, CONTROLS), name) is None
    text = markdown(results(rows, CONTROLS))
    assert "hit@10 forget, against gold" in text
    assert "difference of 0.0000" not in text


def test_gold_below_popularity_makes_the_board_invalid() -> None:
    assert verdicts.invalid(results(ROWS, CONTROLS)) is None
    weak = {**ROWS, "retrain": {**ROWS["retrain"], "hit@10/retain": (0.09, 0.01)}}
    said = verdicts.invalid(results(weak, CONTROLS))
    assert said is not None
    assert said.startswith("INVALID: gold does not beat the popularity list")
    assert "**INVALID" in markdown(results(weak, CONTROLS))
    assert verdicts.warnings(results(weak, CONTROLS))[0] == said


@pytest.mark.parametrize(("lucky", "seeds", "ruined"), [(2, 1, True), (2, 2, True), (2, 3, False), (4, 1, True)])
def test_the_luck_of_very_few_users_makes_no_board_valid(lucky: int, seeds: int, ruined: bool) -> None:
    """All seeds together; a seed without such a note rests on enough."""
    name = "gold_vs_popularity/retain"
    gold = {**ROWS["retrain"], name: (0.01, 0.001)}
    note = f"INVALID: that gold beats the popularity list rests on {lucky} of the 80 that were asked about"
    said = verdicts.invalid(results({**ROWS, "retrain": gold}, CONTROLS, seeds=seeds, notes={name: note}))
    assert (said is not None) is ruined
    if said:
        assert "gold does not surely beat the popularity list" in said
        assert f"which rests on {lucky * seeds} of the {80 * seeds} that were asked about" in said


def test_rows_that_compete_with_nobody_stand_apart() -> None:
    text = markdown(results(ROWS, CONTROLS))
    table = next(part for part in text.split("\n\n") if "hit@10 retain" in part)
    rows = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert rows == ["do_nothing (base)", "retrain (gold)", "worse", "*untrained*", "*control*", "*popularity*"]


AUCS = {
    "do_nothing": {"auc_raw/forget": (0.72, 0.02), "auc_permuted_raw/forget": (0.5, 0.03)},
    "retrain": {"auc_raw/forget": (0.52, 0.02), "auc_blind/forget": (0.51, 0.03)},
    "overfitted": {"auc_raw/forget": (0.99, 0.002)},
    "untrained": {"auc_raw/forget": (0.6, 0.02)},
    "control": {"auc_raw/forget": (0.5, 0.02)},
}


def test_controls_of_the_attacks_are_judged_by_what_is_known_of_them() -> None:
    made = results(AUCS, ("overfitted", "untrained", "control"))
    checked = {c.title: c for c in verdicts.attack_controls(made)}
    fits = {title: c.values["AUC raw"][2] for title, c in checked.items() if "AUC raw" in c.values}
    assert fits == {
        "base": True,
        "over-fitted base": True,
        "gold": True,
        "control": True,
        "untrained model": False,  # an attack that tells F from T by a model that saw neither is broken
        "base, labels permuted within pairs": True,
    }
    assert "✗" in markdown(made)
    # Three accepted seeds whose replicates were left out: a mean of 0.53 without an interval is no fault.
    pooled = replace(results(AUCS, ("overfitted", "untrained", "control"), seeds=3), replicates={})
    assert {c.title: c.values["AUC raw"] for c in verdicts.attack_controls(pooled)}["gold"][1:] == (None, True)
    assert verdicts.warnings(made) == []
    weak = {**AUCS, "do_nothing": {"auc_raw/forget": (0.62, 0.02)}}
    (warned,) = verdicts.warnings(results(weak, ("overfitted", "untrained", "control")))
    assert warned == "NO POWER on base, so they say nothing of any row: AUC raw."


def test_the_score_stands_last_and_says_why_there_is_none() -> None:
    scores = {
        label: {**values, "score_api": None if label == "worse" else (0.4, 0.05), "utility": (0.9, 0.01)}
        for label, values in ROWS.items()
    }
    made = results(scores, CONTROLS, notes={"score_api": "UNDEFINED: fidelity is UNDEFINED"})
    text = markdown(made)
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings.index("## Score, where the attacker can only ask (api)") > headings.index(
        "## What it still remembers"
    )
    row = next(line for line in text.splitlines() if line.startswith("| worse") and "0.9000" in line)
    assert row.rstrip(" |").endswith("UNDEFINED")
    assert "- worse: UNDEFINED: fidelity is UNDEFINED." in text


OWN = {
    **ROWS,
    "sisa": {"ndcg@10/retain": (0.06, 0.004), "hit@10/retain": (0.12, 0.01), "hit@10/forget": (0.31, 0.005)},
    "near": {"ndcg@10/retain": (0.08, 0.004), "hit@10/retain": (0.15, 0.01), "hit@10/forget": (0.27, 0.005)},
    "sisa: own base": {"hit@10/forget": (0.5, 0.01), "ndcg@10/retain": (0.06, 0.004), "auc_raw/forget": (0.5, 0.01)},
    "sisa: own gold": {"hit@10/forget": (0.3, 0.005), "ndcg@10/retain": (0.05, 0.004), "auc_raw/forget": (0.5, 0.01)},
}
OWN_CONTROLS = (*CONTROLS, "sisa: own base", "sisa: own gold")


def test_a_method_is_compared_with_its_own_gold_where_training_is_asked_about() -> None:
    made = results(OWN, OWN_CONTROLS, better={"hit@10/forget": "gold"})
    assert made.own_based == ("sisa",)
    on_forget = {c.label: c.difference.value for c in verdicts.against_gold(made, "hit@10/forget")}
    assert on_forget["sisa"] == pytest.approx(0.01) and on_forget["near"] == pytest.approx(0.04)
    on_retain = {c.label: c.difference.value for c in verdicts.against_gold(made, "ndcg@10/retain")}
    assert on_retain["sisa"] == pytest.approx(-0.02)
    assert verdicts.closed(made, "sisa") == pytest.approx((0.5 - 0.31) / (0.5 - 0.3))
    base = {**OWN["do_nothing"], "hit@10:vs_gold/forget": (0.14, 0.01)}
    text = markdown(results({**OWN, "do_nothing": base}, OWN_CONTROLS))
    assert "sisa closes 95 % of the gap between its own base and own gold" in text
    assert verdicts.closed(made, "near") == pytest.approx((0.37 - 0.27) / (0.37 - 0.23))
    # 0.31 is 0.01 from its own gold, though 0.08 from the board's.
    best, others = verdicts.against_best(made, "hit@10/forget")
    assert best == "worse" and {c.label: round(c.difference.value, 6) for c in others} == {"sisa": -0.01, "near": -0.04}


def test_what_overshoots_is_only_said_of_what_surely_does() -> None:
    name, from_gold = "hit@10/forget", "hit@10:vs_gold/forget"
    rows = {
        **ROWS,
        "do_nothing": {**ROWS["do_nothing"], from_gold: (0.14, 0.01)},
        "near": {**ROWS["worse"], name: (0.225, 0.01), from_gold: (-0.005, 0.01)},
        "over": {**ROWS["worse"], name: (0.17, 0.01), from_gold: (-0.06, 0.01)},
    }
    text = markdown(results(rows, CONTROLS))
    assert "Base remembers: its hit@10 on `forget` is 0.1400 [0.12" in text
    assert "near closes 104 % of that gap." in text
    assert "over closes 143 % of that gap (it suppresses what gold still recommends)." in text
    faint = {**rows, "do_nothing": {**ROWS["do_nothing"], from_gold: (0.01, 0.02)}}
    assert "Base may remember nothing: its hit@10 on `forget` is 0.0100 [-0.0" in markdown(results(faint, CONTROLS))
    # A share of a gap that may be none is any number.
    level = {**faint, "do_nothing": {**faint["do_nothing"], name: (ROWS["retrain"][name][0] + 0.005, 0.01)}}
    assert "of that gap" not in markdown(results(level, CONTROLS))


def test_a_memory_of_a_few_items_alone_is_no_memory_of_the_request() -> None:
    name, from_gold = "hit@10/forget", "hit@10:vs_gold/forget"
    rows = {
        **ROWS,
        "do_nothing": {**ROWS["do_nothing"], from_gold: (0.14, 0.01)},
        "near": {**ROWS["worse"], name: (0.225, 0.01), from_gold: (-0.005, 0.01)},
    }
    few = "rests on 4 of the 30 that were asked about"
    text = markdown(results(rows, CONTROLS, notes={from_gold: few}))
    assert "Base may remember nothing: its hit@10 on `forget` is 0.1400 [0.12" in text
    assert f"above gold's, which {few}." in text
    assert "of that gap" not in text and "of that gap" in markdown(results(rows, CONTROLS))
    # Over seeds they add up: 4 and 4 are enough.
    assert verdicts.rests_on_few(results(rows, CONTROLS, seeds=2, notes={from_gold: few}), "do_nothing") == ""
    one = "rests on 1 of the 30 that were asked about"
    made = results(rows, CONTROLS, seeds=3, notes={from_gold: one})
    assert verdicts.rests_on_few(made, "do_nothing") == "rests on 3 of the 90 that were asked about"


def test_a_seed_with_even_less_memory_makes_no_memory_of_the_others() -> None:
    from_gold = "hit@10:vs_gold/forget"
    rows = {**ROWS, "do_nothing": {**ROWS["do_nothing"], from_gold: (0.14, 0.01)}}
    made = results(rows, CONTROLS, seeds=2, notes={from_gold: "rests on 4 of the 30 that were asked about"})
    (_, second) = made.row("do_nothing")
    none = [m.model_copy(update={"value": 0.0, "note": ""}) if m.name == from_gold else m for m in second.measurements]
    outcome = second.record.outcome.model_copy(update={"measurements": tuple(none)})
    emptied = replace(second, record=second.record.model_copy(update={"outcome": outcome}))
    finished = tuple(emptied if item is second else item for item in made.finished)
    assert verdicts.rests_on_few(replace(made, finished=finished), "do_nothing").startswith("rests on 4 of the 30")


def test_by_an_attack_without_power_rows_are_not_compared() -> None:
    """Two rows lie far from gold by an AUC that does not work on base: a difference it finds is not the memory's."""
    auc = {"do_nothing": 0.62, "retrain": 0.5, "worse": 0.9, "near": 0.51, "control": 0.5}
    rows = {label: {**ROWS.get(label, {}), "auc_raw/forget": (value, 0.02)} for label, value in auc.items()}
    better = {"auc_raw/forget": "gold"}
    weak = results(rows, ("control",), notes={"auc_raw/forget": "NO POWER"}, better=better)
    assert "AUC raw: NO POWER on base, so rows are not compared with gold." in markdown(weak)
    assert "AUC raw, against gold" not in markdown(weak)
    assert verdicts.against_best(weak, "auc_raw/forget") == (None, [])
    assert verdicts.significantly_best(weak, "auc_raw/forget") is None
    # A method that trained its own base is judged by that.
    own = {"sisa": (0.8, 0.02), "sisa: own base": (0.9, 0.02), "sisa: own gold": (0.5, 0.02)}
    sharded = {**rows, **{label: {"auc_raw/forget": pair} for label, pair in own.items()}}
    controls = ("control", "sisa: own base", "sisa: own gold")
    mixed = results(sharded, controls, notes={"auc_raw/forget": "NO POWER"}, better=better)
    assert [c.label for c in verdicts.against_gold(mixed, "auc_raw/forget")] == ["sisa"]
    strong = {**rows, "do_nothing": {**ROWS["do_nothing"], "auc_raw/forget": (0.9, 0.02)}}
    made = results(strong, ("control",), better=better)
    assert "AUC raw, against gold" in markdown(made)
    assert verdicts.significantly_best(made, "auc_raw/forget") == "near"


def test_an_attack_needs_power_on_the_base_that_is_attacked() -> None:
    strong = {"auc_raw/forget": (0.9, 0.01)}
    made = results({**OWN, "do_nothing": {**OWN["do_nothing"], **strong}}, OWN_CONTROLS)
    assert not verdicts.no_power(made, "auc_raw/forget")
    assert not verdicts.no_power(made, "auc_raw/forget", "near")
    assert verdicts.no_power(made, "auc_raw/forget", "sisa")
    for role in ("base", "gold"):
        assert verdicts.no_power(made, "auc_raw/forget", row_label("sisa", role))


def test_a_calibration_the_other_way_round_is_no_other_retraining() -> None:
    """Recheck is calibrated with control, and so has what control has with the sign turned."""
    values = {"do_nothing": 0.8, "retrain": 0.45, "worse": 0.6, "control": 0.45, "recheck": 0.55, "popularity": 0.5}
    rows = {
        label: {
            **ROWS.get(label, ROWS["control"]),
            "auc_calibrated/forget": (value, 0.001),
            "auc_raw/forget": (value, 0.001),
        }
        for label, value in values.items()
    }
    made = results(rows, (*CONTROLS, "recheck"))
    assert verdicts.retrainings_apart(made, "auc_calibrated/forget") == []
    assert [c.label for c in verdicts.retrainings_apart(made, "auc_raw/forget")] == ["recheck"]


def test_without_recheck_the_swap_of_control_is_golds_the_other_way_round() -> None:
    """Each answers for the other in the second world: two numbers, one look."""
    values = {"do_nothing": 0.8, "retrain": 0.45, "worse": 0.6, "control": 0.55, "recheck": 0.56, "popularity": 0.5}
    rows = {label: {**ROWS.get(label, ROWS["control"]), "auc_swap/forget": (v, 0.001)} for label, v in values.items()}
    alone = results({label: of for label, of in rows.items() if label != "recheck"}, CONTROLS)
    assert verdicts.retrainings_apart(alone, "auc_swap/forget") == []
    assert verdicts.detectable(alone, "auc_swap/forget") is None
    both = results(rows, (*CONTROLS, "recheck"))
    assert [c.label for c in verdicts.retrainings_apart(both, "auc_swap/forget")] == ["control", "recheck"]
    assert verdicts.detectable(both, "auc_swap/forget") is not None


def test_names_of_mirrored_measurements_are_those_that_membership_gives() -> None:
    spec = next(spec for spec in vestige_metrics() if spec.name == "membership")
    measured = [f"{name}/forget" for name in spec.measures]
    names = [name for name in measured if "calibrated" in name]
    assert {"auc_calibrated/forget", "auc_calibrated:vs_gold/forget", "tpr@5%_calibrated/forget"} <= set(names)
    for name in names:
        assert bool(verdicts.CALIBRATED.match(name)) is ("permuted" not in name), name
    swapped = [name for name in measured if name.startswith("auc_swap")]
    assert len(swapped) == 2 and all(map(verdicts.SWAPPED.match, swapped))
