"""What an attacker who can only ask finds out, and what taking a router away shows."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tests.attacks.planted import Hesitates, Routed, Shrugs, remembering, target_for
from vestige import plugins
from vestige.data.request import Part
from vestige.data.sequences import Sequences
from vestige.measuring.attacks import Recovered, Target
from vestige.specs import AttackSpec
from vestige_metrics.attacks.bypass import Bypass
from vestige_metrics.attacks.configs import CHANGES, WORST, EvasionConfig, LatencyConfig, NoSettings, RelearnConfig
from vestige_metrics.attacks.evasion import Evasion
from vestige_metrics.attacks.latency import Latency
from vestige_metrics.attacks.plugin import vestige_attacks
from vestige_metrics.attacks.probe import Probe
from vestige_metrics.attacks.quantise import Quantise
from vestige_metrics.attacks.relearn import Relearn


def hiding(kind: str = "users") -> Target:
    """A perfect memory behind a router that recognises the exact histories of the forget queries."""
    target = target_for(Shrugs(1), kind)
    model = remembering(target)
    return replace(target, model=Routed(model, target.forget.histories))


def evaded(target: Target) -> dict[str, Recovered]:
    return {found.name: found for found in Evasion(EvasionConfig()).attack(target)}


def test_what_is_listed_is_what_is_built() -> None:
    listed = {spec.name: spec for spec in vestige_attacks()}
    assert set(listed) == {"bypass", "evasion", "relearn", "quantise", "probe", "latency"}
    for spec in listed.values():
        spec.load()(spec.config())
    assert not set(listed) - set(plugins.load().all(AttackSpec))


@pytest.mark.parametrize("kind", ["users", "interactions"])
def test_evasion_brings_every_declared_change_and_the_worst_of_all(kind: str) -> None:
    target = hiding(kind)
    found = evaded(target)
    assert tuple(found) == (*CHANGES, WORST)
    worst = found[WORST]
    assert worst.asked == len(CHANGES) + 1
    everything = [target.hits(), *(found[name].hits for name in CHANGES)]
    assert np.array_equal(worst.hits, np.max(everything, axis=0))
    assert all(found[name].asked == 1 for name in CHANGES)
    assert all(f.hits.shape == (len(target.forget),) and np.isfinite(f.hits).all() for f in found.values())


def test_the_worst_of_all_counts_the_unchanged_question_too() -> None:
    target = hiding()
    model = target.model
    model.main, model.side = model.side, model.main  # now nothing but the exact histories is remembered
    found = evaded(target)[WORST]
    assert (found.hits >= target.hits()).all() and target.hits().mean() > 0.8


def variants(attack: Evasion, target: Target) -> dict[str, Sequences]:
    return {name: attack.changed(target, name, target.forget) for name in CHANGES}


@pytest.mark.parametrize("kind", ["users", "interactions"])
def test_variants_are_of_the_same_queries_and_drawn_from_what_is_retained(kind: str) -> None:
    target = target_for(Shrugs(40), kind)
    own, targets = target.forget.histories, target.forget.targets
    data, split = target.data, target.split
    found = variants(Evasion(EvasionConfig(popular_items=5)), target)
    for name, changed in found.items():
        assert len(changed) == len(own) and (changed.lengths > 0).all(), name
        assert changed.users.tolist() == own.users.tolist()
        for row in range(len(own)):
            given = changed.row(row).tolist().count(targets[row])
            assert given <= own.row(row).tolist().count(targets[row]), name
    for length in (2, 4, 8):
        tails = found[f"truncate_{length}"]
        assert all(tails.row(i).tolist() == own.row(i)[-length:].tolist() for i in range(len(own)))
    counts = np.bincount(data.item[split.part == Part.RETAINED], minlength=data.n_items)
    popular = found["popular"]
    new = popular.items[popular.items != own.items]
    assert len(new) and counts[new].min() >= np.sort(counts)[-5]
    retained = {
        tuple(data.item[(data.user == u) & (split.part == Part.RETAINED)].tolist()) for u in np.unique(data.user)
    }
    for row in range(len(own)):
        front = found["concatenate"].row(row)[: -len(own.row(row))].tolist()
        assert any([item for item in r if item != targets[row]] == front for r in retained)


def test_those_of_t_are_asked_in_the_same_way() -> None:
    """So that what a change does to everybody can be told from what it brings back."""
    target = target_for(Shrugs(40))
    attack = Evasion(EvasionConfig())
    found = {name: attempt.unseen for name, attempt in evaded(target).items()}
    asked = target.queries("unseen_train")
    assert len(asked)
    for name in CHANGES:
        assert np.array_equal(found[name], target.hits(attack.changed(target, name, asked), view="unseen_train")), name
    plain = target.recovered("plain").unseen
    assert plain is not None and np.array_equal(plain, target.hits(view="unseen_train"))
    assert np.array_equal(found[WORST], np.max([plain, *(found[name] for name in CHANGES)], axis=0))


def test_equal_seeds_ask_alike_and_other_seeds_otherwise() -> None:
    attack = Evasion(EvasionConfig())
    one, same, other = (variants(attack, target_for(Shrugs(40), seed=seed)) for seed in (7, 7, 8))
    fixed = {"swap", *(name for name in CHANGES if name.startswith("truncate"))}
    for name in CHANGES:
        assert np.array_equal(one[name].items, same[name].items)
        assert np.array_equal(one[name].items, other[name].items) == (name in fixed), name


def test_a_router_of_exact_histories_is_caught() -> None:
    target = hiding()
    remembers = replace(target, model=target.model.parts().main)
    hidden, known = target.hits().mean(), remembers.hits().mean()
    assert known > 0.8 and hidden < known - 0.4
    found = evaded(target)
    assert found["drop_25"].hits.mean() > hidden + 0.3
    assert found["decoys"].hits.mean() > hidden + 0.3
    assert found[WORST].hits.mean() >= max(found[name].hits.mean() for name in CHANGES)
    bypassed = list(Bypass(NoSettings()).attack(target))
    assert [b.name for b in bypassed] == ["bypass"]
    assert np.array_equal(bypassed[0].hits, remembers.hits())


def test_a_plain_model_has_nothing_to_take_away_train_round_or_read() -> None:
    target = target_for(Shrugs(40))
    for attack in (Bypass(NoSettings()), Relearn(RelearnConfig()), Quantise(NoSettings()), Probe(NoSettings())):
        assert list(attack.attack(target)) == []


def test_latency_finds_who_is_answered_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    target = target_for(Shrugs(40))
    model = Hesitates(40, target.forget.histories, 0.5)
    target = replace(target, model=model)
    # A clock that only the model moves: what is measured is known to the last digit.
    monkeypatch.setattr("vestige_metrics.attacks.latency.time", SimpleNamespace(perf_counter=lambda: model.now))
    (told,) = Latency(LatencyConfig(warm_up=8, repeats=2)).attack(target)
    assert told.name == "latency" and told.varies
    assert told.forget.shape == (len(target.forget),)
    assert told.unseen.shape == (len(target.queries("unseen_train")),)
    assert (told.forget[:, None] > told.unseen[None, :]).all()
    # One question at a time: one of every user twice, after the warm-up.
    users = 24
    assert set(model.batches) == {1} and len(model.batches) == 2 * users + 8
    for values, view in ((told.forget, "forget"), (told.unseen, "unseen_train")):
        asked = target.queries(view)
        for user in np.unique(asked.users):
            rows = np.flatnonzero(asked.users == user)
            longest = tuple(asked.histories.row(rows[np.argmax(asked.histories.lengths[rows])]))
            # The faster of two answers, the third one where the warm-up had asked before.
            fastest = model.takes(longest) + 1.0 / model.asked[longest]
            assert values[rows] == pytest.approx(fastest)
    assert sorted(model.asked.values()) == [2] * (users - 8) + [3] * 8


def test_latency_asks_the_longest_history_of_each_user_side_by_side() -> None:
    target = target_for(Shrugs(40))
    asker = {}
    for view in ("forget", "unseen_train"):
        asked = target.queries(view)
        asker |= {tuple(asked.histories.row(row)): int(asked.users[row]) for row in range(len(asked))}
    seen: list[tuple[int, int]] = []

    class Notes(Shrugs):
        def score(self, histories):  # type: ignore[no-untyped-def]
            seen.append((asker[tuple(histories.row(0))], int(histories.lengths[0])))
            return super().score(histories)

    list(Latency(LatencyConfig(warm_up=0, repeats=1)).attack(replace(target, model=Notes(40))))
    longest = {}
    for view in ("forget", "unseen_train"):
        asked = target.queries(view)
        for user, length in zip(asked.users.tolist(), asked.histories.lengths.tolist(), strict=True):
            longest[user] = max(length, longest.get(user, 0))
    assert dict(seen) == longest and len(seen) == len(longest)
    sides = [user in set(target.split.forget_users.tolist()) for user, _ in seen]
    assert sides == [True, False] * 12
