"""`vestige evaluate` and `vestige attack`: what models answer, and what their answers tell, measured as boards do."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from vestige import configs, seeds
from vestige.data import views as views_module
from vestige.data.given import Named, retained_in
from vestige.data.request import Part, Split, training_counts
from vestige.data.sequences import IntArray
from vestige.data.views import Views
from vestige.errors import InputError
from vestige.measuring.contract import Context, CostOf, Measurement, Metric, Subject
from vestige.measuring.statistics import Bootstrap
from vestige.plugins import Plugins
from vestige.progress import Progress, silent
from vestige.recommenders.contract import Composite, Scorer
from vestige.recommenders.scoring import score_queries
from vestige.specs import MetricSpec
from vestige.steps.manifest import (
    MANIFEST,
    Manifest,
    Source,
    checked_base,
    open_model,
    read_data,
    read_manifest,
)
from vestige.steps.running import Machine
from vestige.steps.unlearn import excluded_events, split_of

HELD_OUT = "their held-out interactions"
EXCLUDED = "what the base was never trained on"
ATTACKS = ("auc_raw", "auc_calibrated", "auc_learned", "auc_blind")


@dataclass(frozen=True)
class Row:
    """One measurement of one model.

    Attributes:
        metric, view: Its name.
        model: `base`, `unlearned`, `gold` or `control`.
        value, interval: With its 95 % interval over users; None where it could not be measured, and `note` says why.
        users, queries: How many were asked.
        note: What must be known about it.
    """

    metric: str
    view: str
    model: str
    value: float | None
    interval: tuple[float, float] | None
    users: int
    queries: int
    note: str = ""


@dataclass(frozen=True)
class Measured:
    """What `evaluate` and `attack` return.

    Attributes:
        rows: All measurements.
        remarks: What a reader must know before any number.
    """

    rows: tuple[Row, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Models:
    """Folders of the models that are compared.

    Attributes:
        original: The base.
        unlearned: What a method made of it.
        gold: Trained with `train --exclude` on what was forgotten; None where there is none.
        control: Another such training, with another seed; None where there is none.
    """

    original: Path
    unlearned: Path
    gold: Path | None = None
    control: Path | None = None


@dataclass(frozen=True)
class Sample:
    """Of whom views are asked; everybody unless said otherwise.

    Attributes:
        users: At most so many users of each view, drawn by `seed`.
        retain: A file in the published form whose users make up the view `retain`.
        drop: Leave out of it what does not exist.
        seed: Of the draw, and of the training transitions that are asked.
    """

    users: int | None = None
    retain: Path | None = None
    seed: int = 0
    drop: bool = False


def evaluate(
    models: Models,
    *,
    plugins: Plugins,
    k: Sequence[int] = (10, 20),
    sample: Sample | None = None,
    place: Path | None = None,
    machine: Machine | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> Measured:
    """hit@k and ndcg@k of every model on every view, exact and over the whole catalogue.

    Args:
        models: What is compared.
        plugins: What is installed.
        k: Lengths of lists.
        sample: Of whom.
        place: Where the data lie now.
        machine: Where it runs.
        settings: Of the recommenders, laid over those they were trained with, such as `beams`.
        progress: Told how far it is.

    Raises:
        InputError: A model or the data cannot be used, or the models do not belong together.
    """
    sample = sample or Sample()
    bench = _Bench(models, plugins, place, machine or Machine(), settings or {})
    named = bench.named(sample)
    views = bench.sampled(views_module.build(bench.source.data, bench.split, sample.seed), sample, named)
    roles = bench.scored(views, progress)
    found: list[Row] = []
    for name in bench.models:
        context = bench.context(roles, roles[name], bench.split, views, sample.seed)
        found += _rows(context, name, bench.metric("ranking", {"k": tuple(k)}).measure(context), bench.gold is not None)
    remarks = [_size(views, sample)] if sample.users or sample.retain else []
    remarks += [named.told] if named and named.told else []
    remarks += _routed(roles["unlearned"], views)
    if bench.gold is not None:
        remarks += _remembers(found, f"hit@{k[0]}")
    else:
        remarks.append("no gold was given: whether forgetting is right cannot be said; train one with train --exclude.")
    return Measured(tuple(found), tuple(remarks))


def attack(
    models: Models,
    *,
    plugins: Plugins,
    sample: Sample | None = None,
    place: Path | None = None,
    machine: Machine | None = None,
    progress: Progress = silent,
) -> Measured:
    """How well what was forgotten can be told from what nobody was trained on, by each model's answers.

    What nobody was trained on is what the base's `train --exclude` left out, else held-out interactions of the users
    who forget; the same labels serve every model.

    Args:
        models: What is compared; with a control, the calibrated attack is made too.
        plugins: What is installed.
        sample: At most so many users.
        place: Where the data lie now.
        machine: Where it runs.
        progress: Told how far it is.

    Raises:
        InputError: A model or the data cannot be used, or the models do not belong together.
    """
    sample = sample or Sample()
    if models.control is not None and models.gold is None:
        raise InputError("--control-model: a second gold needs a first one; give --gold-model too.")
    bench = _Bench(models, plugins, place, machine or Machine(), {})
    split, unseen = _with_members(bench.source, bench.split)
    views = views_module.build(bench.source.data, split, sample.seed)
    asked = {view: views.queries[view] for view in ("forget", "unseen_train")}
    if not len(asked["forget"]):
        raise InputError(
            f"{models.unlearned}: nothing that was forgotten has an interaction before it in training, so no model can "
            "be asked about it."
        )
    if not len(asked["unseen_train"]):
        raise InputError(
            f"{models.unlearned}: nothing is held out of training of the users who forget, to compare with."
        )
    views = Views(asked, {view: (view, np.arange(len(queries))) for view, queries in asked.items()}, views.events)
    # The unit is a user, whatever is forgotten. Nobody tossed a coin: gold's AUC says what no memory comes to.
    split = replace(_paired(bench.source, split, views, sample), kind="users", exchangeable=True)
    views = _of_pairs(views, split)
    roles = bench.scored(views, progress)
    found: list[Row] = []
    for name in bench.models:
        context = bench.context(roles, roles[name], split, views, sample.seed)
        measurements = [m for m in bench.metric("membership", {}).measure(context) if _is_told(m)]
        found += _rows(context, name, measurements, bench.gold is not None)
    pairs = len(split.forget_users)
    remarks = [
        f"F is told from {unseen}: {pairs} pairs of users{' (a sample)' if sample.users == pairs else ''}, "
        f"{len(views.queries['forget'])} queries against {len(views.queries['unseen_train'])}."
    ]
    if unseen == HELD_OUT:
        remarks.append(
            "F came before what is held out, so an AUC other than 0.5 need not be memory; the difference from gold is, "
            "and a board measures it better."
        )
    if bench.gold is None:
        remarks.append("no gold was given: what an AUC would be without memory is not known.")
    return Measured(tuple(found), tuple(remarks))


class _Bench:
    """The models of a comparison, opened and checked, with the data and the split that they share."""

    def __init__(
        self, models: Models, plugins: Plugins, place: Path | None, machine: Machine, settings: Mapping[str, Any]
    ) -> None:
        self.plugins = plugins
        device = machine.start()
        original, unlearned = read_manifest(models.original), read_manifest(models.unlearned)
        if original.made_by != "train":
            raise InputError(
                f"{models.original}: a base is needed, as `vestige train` writes it; this is an unlearned model."
            )
        if unlearned.made_by != "unlearn" or unlearned.forgotten is None:
            raise InputError(f"{models.unlearned}: what `vestige unlearn` wrote is needed; this is a trained model.")
        self.source = read_data(original.data, plugins, place, str(models.original / MANIFEST))
        checked_base(models.unlearned, unlearned, models.original)
        self.split = split_of(self.source, original, models.original, unlearned.forgotten, models.unlearned)

        def opened(folder: Path) -> Scorer:
            return open_model(folder, self.source, plugins, device, models.original, settings)

        self.models: dict[str, Scorer] = {"base": opened(models.original), "unlearned": opened(models.unlearned)}
        self.gold = models.gold
        seeds_used: set[int] = set()
        for name, folder in (("gold", models.gold), ("control", models.control)):
            if folder is not None:
                seed = self._check_gold(folder, original, models.original)
                if seed in seeds_used:
                    raise InputError(
                        f"{folder}: a control is trained with another seed than the gold, and both were with {seed}; "
                        "train it with another --seed."
                    )
                seeds_used.add(seed)
                self.models[name] = opened(folder)

    def _check_gold(self, folder: Path, original: Manifest, original_folder: Path) -> int:
        """The seed of a model, once it is known that it was trained on what the base was trained on, without F.

        Raises:
            InputError: It was not.
        """
        manifest = read_manifest(folder)
        if manifest.made_by != "train":
            raise InputError(f"{folder}: a gold is a training, as `vestige train --exclude` writes it.")
        if (manifest.data.content_hash, manifest.data.holdout) != (original.data.content_hash, original.data.holdout):
            raise InputError(f"{folder}: it was trained on other data, or another holdout, than {original_folder}.")
        if not manifest.recommender.same(original.recommender) or manifest.passes != original.passes:
            raise InputError(
                f"{folder}: it was trained with other settings than {original_folder}; train it with the same."
            )
        left = excluded_events(self.source, manifest, folder)
        wanted = np.union1d(self.split.events(Part.FORGET), self.split.events(Part.UNSEEN))
        if not np.array_equal(left, wanted):
            kept, more = len(np.setdiff1d(wanted, left)), len(np.setdiff1d(left, wanted))
            raise InputError(
                f"{folder}: it is no gold of this request: it was trained on {kept} of the interactions that were "
                f"forgotten or left out, and not on {more} that should be there; train it with --exclude on just these."
            )
        return manifest.seed

    def metric(self, name: str, values: Mapping[str, Any]) -> Metric:
        """A metric plugin."""
        spec = self.plugins.get(MetricSpec, name)
        made: Metric = spec.load()(configs.validate(spec.config, values, f"--{'k_values' if values else name}"))
        return made

    def named(self, sample: Sample) -> Named | None:
        """Of whom alone `retain` is asked, or None."""
        return None if sample.retain is None else retained_in(self.source.data, self.split, sample.retain, sample.drop)

    def sampled(self, views: Views, sample: Sample, named: Named | None = None) -> Views:
        """The views of which only the users of the sample are asked, and nothing is scored in vain."""
        rows: dict[str, tuple[str, IntArray]] = {}
        for view, (parent, own) in views.rows.items():
            users = views.users(view)
            asked = np.isin(users, named.users) if view == "retain" and named else np.ones(len(own), np.bool_)
            if sample.users is not None:
                order = seeds.generator(sample.seed, "sample", view).permutation(np.unique(users[asked]))
                asked &= np.isin(users, order[: sample.users])
            rows[view] = (parent, own[asked])
        queries, place = {}, {}
        for parent, all_of_it in views.queries.items():
            needed = np.unique(np.concatenate([own for above, own in rows.values() if above == parent]))
            queries[parent] = all_of_it.take(needed)
            place[parent] = needed
        taken = {view: (parent, np.searchsorted(place[parent], own)) for view, (parent, own) in rows.items()}
        return Views(queries, taken, {view: events[place[view]] for view, events in views.events.items()})

    def scored(self, views: Views, progress: Progress) -> dict[str, Subject]:
        """Every model's scores, asked once."""
        out = {}
        for name, scorer in self.models.items():
            scores = {
                view: score_queries(scorer, queries, self.source.data.n_items, _named(progress, name))
                for view, queries in views.queries.items()
            }
            router = scorer.parts().router if isinstance(scorer, Composite) else None
            nothing = CostOf(0.0, None, 0, 0, 0, 0.0)
            threshold = router.threshold if router else None
            # A second gold is what boards call recheck: it calibrates others, and is itself calibrated by gold.
            role = "recheck" if name == "control" else name
            out[name] = Subject(role, scores, nothing, threshold, partial(_itself, scorer))
        return out

    def context(
        self, subjects: Mapping[str, Subject], subject: Subject, split: Split, views: Views, seed: int
    ) -> Context:
        """What metrics are given. Without a gold, base stands in its place, and what compares with it is left out."""
        gold = subjects.get("gold", subjects["base"])
        roles = {"base": subjects["base"], "gold": gold, "control": gold}
        if "control" in subjects:
            roles["recheck"] = subjects["control"]
        return Context(
            data=self.source.data,
            split=split,
            views=views,
            row=subject.name,
            subject=subject,
            swapped=None,
            roles=roles,
            bootstrap=Bootstrap(self.source.data.n_users),
            seed=seeds.derive(seed, "measure"),
        )


def _with_members(source: Source, split: Split) -> tuple[Split, str]:
    """The split whose T is what nobody was trained on, and what that is."""
    if len(split.events(Part.UNSEEN)):
        return split, EXCLUDED
    part = split.part.copy()
    held_out = np.isin(part, (Part.VALIDATION, Part.TEST, Part.UNUSED)) & np.isin(source.data.user, split.forget_users)
    part[held_out] = Part.UNSEEN
    return replace(split, part=part), HELD_OUT


def _paired(source: Source, split: Split, views: Views, sample: Sample) -> Split:
    """The split with users of F and T in pairs: who is in both with themselves, all others with one whose history is as
    long, so that nobody is in two pairs: an attack would be trained on whom it judges.

    Of a sample, at most so many pairs.
    """
    forget, unseen = (np.unique(views.users(view)) for view in ("forget", "unseen_train"))
    both = np.intersect1d(forget, unseen)
    forget, unseen = np.setdiff1d(forget, both), np.setdiff1d(unseen, both)
    length = np.log1p(training_counts(source.data, split.part))
    rows, columns = linear_sum_assignment(np.abs(length[forget][:, None] - length[unseen][None, :]))
    forget, unseen = np.concatenate([both, forget[rows]]), np.concatenate([both, unseen[columns]])
    if sample.users is not None:
        drawn = np.sort(seeds.generator(sample.seed, "sample", "pairs").permutation(len(forget))[: sample.users])
        forget, unseen = forget[drawn], unseen[drawn]
    return replace(split, forget_users=forget.astype(np.int32), unseen_users=unseen.astype(np.int32))


def _of_pairs(views: Views, split: Split) -> Views:
    """The queries of the users who are in a pair."""
    rows = {
        view: np.flatnonzero(np.isin(views.users(view), users))
        for view, users in (("forget", split.forget_users), ("unseen_train", split.unseen_users))
    }
    return Views(
        {view: views.queries[view].take(own) for view, own in rows.items()},
        {view: (view, np.arange(len(own))) for view, own in rows.items()},
        {view: views.events[view][own] for view, own in rows.items()},
    )


def _is_told(measurement: Measurement) -> bool:
    """Whether it belongs to an attack that can be made with a few models: others need shadows or a second world."""
    name = measurement.metric.removesuffix(":vs_gold")
    return name in ATTACKS and (measurement.value is not None or name != "auc_calibrated")


def _itself(scorer: Scorer) -> Scorer:
    return scorer


def _named(progress: Progress, name: str) -> Callable[..., None]:
    return lambda share, text="": progress(share, f"{text} {name}".strip())


def _rows(context: Context, model: str, measurements: Iterable[Measurement], has_gold: bool) -> Iterator[Row]:
    for m in measurements:
        if m.metric.endswith(":vs_gold") and (not has_gold or model == "gold"):
            continue
        if m.metric.endswith(":vs_base") and model == "base":
            continue
        users = context.views.users(m.view) if m.view in context.views.rows else np.zeros(0, dtype=np.int64)
        yield Row(m.metric, m.view, model, m.value, m.interval, len(np.unique(users)), len(users), m.note)


def _routed(unlearned: Subject, views: Views) -> list[str]:
    """How much of each view the side memory answered: all else is the base's own answer."""
    if unlearned.threshold is None:
        return []
    shares = []
    for view, (parent, own) in views.rows.items():
        if len(own):
            share = float((unlearned.scores[parent].router[own] >= unlearned.threshold).mean())
            shares.append(f"{view} {100 * share:.1f} %")
    return [f"sent to the side memory: {', '.join(shares)}; all else is base's own answer."]


def _remembers(rows: Sequence[Row], metric: str) -> list[str]:
    """A warning where base does not surely remember what was forgotten, so that there is nothing to forget."""
    wanted = (f"{metric}:vs_gold", "forget", "base")
    gap = next((row for row in rows if (row.metric, row.view, row.model) == wanted), None)
    if gap is None:
        return [
            "nothing that was forgotten has an interaction before it in training, so no model can be asked about it."
        ]
    if gap.interval is None or (gap.interval[0] > 0 and not gap.note):
        return []
    few = f", which {gap.note}" if gap.note else ""
    return [
        f"base does not surely remember what was forgotten ({metric} on forget is {gap.value:.4f} above gold's, "
        f"{gap.interval[0]:.4f} to {gap.interval[1]:.4f}{few}), so forgetting cannot show; "
        "train base and gold for longer."
    ]


def _size(views: Views, sample: Sample) -> str:
    sizes = ", ".join(f"{view} {len(np.unique(views.users(view)))}" for view in views.rows)
    who = f"at most {sample.users} users of each view" if sample.users else "users of a file"
    return f"a sample, {who}: {sizes}; the intervals are those of the sample."
