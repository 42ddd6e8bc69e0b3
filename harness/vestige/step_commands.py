"""The commands that go step by step, on files: train, unlearn, evaluate, attack, recommend.

Options have the names that the published project gave them, where there they mean the same; `docs/published-steps.md`
maps all of them.
"""

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vestige.errors import InputError
from vestige.places import at_home, home, to_write
from vestige.progress import Progress

if TYPE_CHECKING:
    from vestige.plugins import Plugins
    from vestige.steps.manifest import Left, Manifest
    from vestige.steps.measure import Measured, Row
    from vestige.steps.running import Machine

MODEL, DATA, RUN, FORGET, MAIN, SIDE, ROUTER = (
    "The model",
    "The data",
    "The run",
    "What is forgotten",
    "The method",
    "Dual memory: losses and adapter",
    "Dual memory: router",
)


def _option(name: str, text: str, panel: str, **more: Any) -> Any:
    return typer.Option(f"--{name.replace('_', '-')}", help=text, rich_help_panel=panel, show_default=False, **more)


def _place(name: str, text: str, panel: str, callback: Any = at_home) -> Any:
    return _option(name, text, panel, callback=callback)


def _homes(places: list[Path] | None) -> list[Path] | None:
    return None if places is None else [home(place) for place in places]


def _flag(name: str, text: str, panel: str) -> Any:
    dashed = name.replace("_", "-")
    return typer.Option(f"--{dashed}/--no-{dashed}", help=text, rich_help_panel=panel, show_default=False)


PlaceOption = Annotated[
    Path | None, _place("dataset_path", "A folder (ml-1m) or a file; where they lay when trained unless given.", DATA)
]
SeedOption = Annotated[int, typer.Option(min=0, help="Another seed, another draw.", rich_help_panel=RUN)]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or auto.", rich_help_panel=RUN)]
ThreadsOption = Annotated[int, typer.Option(min=1, help="Of torch; others give other weights.", rich_help_panel=RUN)]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace what a step wrote there.", rich_help_panel=RUN)
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other setting; repeatable.")
]
OriginalOption = Annotated[Path, _place("original_model", "The base, as `train` wrote it.", MODEL)]
GoldOption = Annotated[
    Path | None, _place("gold_model", "Trained with --exclude on what was forgotten: what is right.", MODEL)
]
CsvOption = Annotated[
    Path | None, typer.Option("--output", help="Write all measurements here, as CSV.", callback=to_write)
]

VALUE, FLAG = True, False

DROPPED = {
    "train": {"--max-target-length": VALUE},
    "unlearn": {"--workers": VALUE},
    "evaluate": {
        "--num-return-sequences": VALUE,
        "--max-gen-len": VALUE,
        "--disable-fallback": FLAG,
        "--skip-all-users": FLAG,
        "--verbose": FLAG,
    },
    "attack": {"--k": VALUE},
}
"""Options of the published steps, by the command here, that nothing is left for; and whether a value follows them."""

SCRIPTS = {
    "train_ml1m_t5": "train",
    "train_dual_memory": "unlearn",
    "evaluate_datasets": "evaluate",
    "MIA": "attack",
}
"""Published steps by the name of their script: the command here."""

ARTIFACTS = "dual_memory_artifacts.pt"
"""What a published step wrote its model into, inside the folder that is named here."""


def without_dropped(arguments: list[str]) -> tuple[list[str], list[str]]:
    """A command line without the options that nothing is left for, and which these were.

    Raises:
        InputError: The command is the name of a published script.
    """
    script = arguments[0].removesuffix(".py") if arguments else ""
    if script in SCRIPTS:
        raise InputError(f"{arguments[0]}: here it is `vestige {SCRIPTS[script]}` (docs/published-steps.md).")
    known = DROPPED.get(script, {})
    kept, dropped, value_of = arguments[:1], list[str](), ""
    for word in arguments[1:]:
        option, sign, _ = word.partition("=")
        value_of, follows = "", value_of
        if follows and not word.startswith("--"):
            continue
        if option in known:
            dropped.append(option)
            value_of = option if known[option] and not sign else ""
        else:
            kept.append(word)
    return kept, dropped


def _folder(place: Path | None) -> Path | None:
    """The folder that is meant where the published commands name the file inside it."""
    place = at_home(place)
    if place is None or place.name != ARTIFACTS or place.exists() or not (place.parent / "vestige.json").is_file():
        return place
    typer.echo(f"note: {place}: models are folders here; {place.parent} is read.", err=True)
    return place.parent


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (train, unlearn, evaluate, attack, recommend):
        app.command()(command)


def train(
    output_dir: Annotated[Path, _place("output_dir", "The folder that is written.", MODEL)],
    model_name_or_path: Annotated[
        str | None,
        _option("model_name_or_path", "A preset (nano, mini, small), a T5 checkpoint's folder or hub name.", MODEL),
    ] = None,
    recommender: Annotated[str, typer.Option(help="See `vestige plugins`.", rich_help_panel=MODEL)] = "t5",
    dataset_path: Annotated[
        Path | None, _place("dataset_path", "A folder (read as ml-1m) or a file of interactions.", DATA)
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Another dataset by its name.", rich_help_panel=DATA, show_default=False)
    ] = None,
    min_rating: Annotated[float | None, _option("min_rating", "Lower ratings are left out.", DATA)] = None,
    split: Annotated[
        str, typer.Option(help="temporal (the latest 20 %) or last (of each user).", rich_help_panel=DATA)
    ] = "temporal",
    exclude: Annotated[
        list[Path] | None,
        _place("exclude", "Leave out what a file names (the forget file makes the gold); repeatable.", DATA, _homes),
    ] = None,
    missing: Annotated[
        str, typer.Option(help="error, or drop what such a file names and is not there.", rich_help_panel=DATA)
    ] = "error",
    epochs: Annotated[int | None, _option("epochs", "Passes over the data.", RUN)] = None,
    batch_size: Annotated[int | None, _option("batch_size", "Sequences of a step.", RUN)] = None,
    learning_rate: Annotated[float | None, _option("learning_rate", "Of AdamW.", RUN)] = None,
    max_input_length: Annotated[int | None, _option("max_input_length", "Items that the encoder reads.", RUN)] = None,
    amp: Annotated[bool | None, _flag("amp", "bfloat16 autocast.", RUN)] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 2,
    settings: SetOption = None,
    overwrite: OverwriteOption = False,
    save_every: Annotated[
        float | None, _option("save_every", "Seconds between two writes of how far it is (120).", RUN, min=0)
    ] = None,
) -> None:
    """Train a recommender on a file of interactions; with --exclude, the gold of what that file names.

    A training that was stopped is gone on with by the same command.
    """
    from vestige.data.request import HoldoutConfig
    from vestige.steps.train import train as run

    if (drop := _drop(missing)) and not exclude:
        raise InputError("--missing is for what --exclude names; give a file with it.")
    given = {
        "passes": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "context": max_input_length,
        "amp": amp,
    }
    with _progress("train") as progress:
        manifest = run(
            output_dir,
            plugins=_plugins(),
            dataset=dataset,
            place=dataset_path,
            dataset_settings=_present({"min_rating": min_rating}),
            recommender=recommender,
            start=model_name_or_path,
            settings={**_present(given), **_settings(settings)},
            holdout=_checked(HoldoutConfig, {"rule": split}, "--split"),
            exclude=exclude or (),
            drop=drop,
            seed=seed,
            machine=_machine(device, threads),
            overwrite=overwrite,
            save_every=save_every,
            progress=progress,
        )
    notes = manifest.notes
    told = manifest.recommender.config
    if told.get("init") and told.get("prompt") == "ids":
        told_of = "histories are read as item tokens; --set prompt=text reads them as words, as published."
        typer.echo(f"note: {told_of}", err=True)
    typer.echo(
        f"trained on {notes['interactions']} interactions of {notes['users']} users in {_seconds(manifest)}, "
        f"loss {float(notes['loss of the last pass']):.3f}"
    )
    for left in manifest.excluded:
        typer.echo(f"left out: {left.interactions} interactions ({left.file})")
        _tell_dropped(left)
    typer.echo(f"model: {output_dir}")


def unlearn(
    model: Annotated[Path, _place("model", "The base, as `train` wrote it; it is not changed.", MODEL)],
    output: Annotated[Path, _place("output", "The folder that is written.", MODEL)],
    dataset_path: PlaceOption = None,
    forget: Annotated[
        Path | None,
        _place(
            "forget_samples",
            "A list: forget_samples_subset.json, user<TAB>item, or a user a line; drawn unless given.",
            FORGET,
        ),
    ] = None,
    missing: Annotated[
        str, typer.Option(help="error, or drop what the list names and is not there.", rich_help_panel=FORGET)
    ] = "error",
    retain: Annotated[
        Path | None,
        _place("retain_samples", "Learn from these users alone what to keep: retain_samples_subset.json.", FORGET),
    ] = None,
    forget_users: Annotated[int | None, _option("forget_users", "Drawn: users who forget (500).", FORGET)] = None,
    retain_users: Annotated[
        int | None, _option("retain_users", "Drawn: users of retain_samples_subset.json (565).", FORGET)
    ] = None,
    percent: Annotated[
        float | None, _option("percent", "Drawn: how much of each user's history, the latest (5).", FORGET)
    ] = None,
    min_events: Annotated[
        int | None, _option("min_events", "Drawn: training interactions a user must have (10).", FORGET)
    ] = None,
    high_rating: Annotated[
        float | None, _option("high_rating", "Drawn: what a user must have rated in the test period (4).", FORGET)
    ] = None,
    method: Annotated[str, typer.Option(help="See `vestige plugins`.", rich_help_panel=MAIN)] = "dual_memory",
    preset: Annotated[str | None, _option("preset", "e1_stable, e2_strong, published, distilled, …", MAIN)] = None,
    epochs: Annotated[int | None, _option("epochs", "Over what is forgotten.", SIDE)] = None,
    batch_size: Annotated[int | None, _option("batch_size", "Forgotten samples of a step.", SIDE)] = None,
    lr: Annotated[float | None, _option("lr", "Of AdamW.", SIDE)] = None,
    alpha_weight: Annotated[float | None, _option("alpha_weight", "α, of retention.", SIDE)] = None,
    beta_weight: Annotated[float | None, _option("beta_weight", "β, of forgetting.", SIDE)] = None,
    kl_reg_weight: Annotated[float | None, _option("kl_reg_weight", "γ, of stability.", SIDE)] = None,
    kl_mask_forgotten: Annotated[
        bool | None, _flag("kl_mask_forgotten", "Stability on retained samples only.", SIDE)
    ] = None,
    freeze_lm_head: Annotated[bool | None, _flag("freeze_lm_head", "No adapter on the output head.", SIDE)] = None,
    unlikelihood_weight: Annotated[
        float | None, _option("unlikelihood_weight", "Of −log(1 − p(forgotten)).", SIDE)
    ] = None,
    pairwise_weight: Annotated[float | None, _option("pairwise_weight", "Of ranking others above.", SIDE)] = None,
    pairwise_margin: Annotated[float | None, _option("pairwise_margin", "In logits.", SIDE)] = None,
    hard_neg_k: Annotated[int | None, _option("hard_neg_k", "Main's top items that compete.", SIDE)] = None,
    topk_penalty_weight: Annotated[
        float | None, _option("topk_penalty_weight", "Of standing among the top k.", SIDE)
    ] = None,
    topk_k: Annotated[int | None, _option("topk_k", "That k.", SIDE)] = None,
    topk_margin: Annotated[float | None, _option("topk_margin", "In logits.", SIDE)] = None,
    abs_suppression_weight: Annotated[
        float | None, _option("abs_suppression_weight", "Of a logit above −margin.", SIDE)
    ] = None,
    abs_suppression_margin: Annotated[float | None, _option("abs_suppression_margin", "In logits.", SIDE)] = None,
    lora_r: Annotated[int | None, _option("lora_r", "Rank of the adapter.", SIDE)] = None,
    lora_alpha: Annotated[float | None, _option("lora_alpha", "Scale of the adapter.", SIDE)] = None,
    lora_dropout: Annotated[float | None, _option("lora_dropout", "Of the adapter.", SIDE)] = None,
    warm_start: Annotated[
        Path | None, _place("warm_start", "A dual memory of the same base, to go on from.", SIDE)
    ] = None,
    router_hidden: Annotated[int | None, _option("router_hidden", "Hidden units.", ROUTER)] = None,
    router_dropout: Annotated[float | None, _option("router_dropout", "In training.", ROUTER)] = None,
    router_lr: Annotated[float | None, _option("router_lr", "Of AdamW.", ROUTER)] = None,
    router_weight_decay: Annotated[float | None, _option("router_weight_decay", "Of AdamW.", ROUTER)] = None,
    router_epochs: Annotated[int | None, _option("router_epochs", "Over the histories.", ROUTER)] = None,
    router_batch_size: Annotated[int | None, _option("router_batch_size", "Histories of a step.", ROUTER)] = None,
    target_precision: Annotated[
        float | None, _option("target_precision", "Share of the routed that shall be to be forgotten.", ROUTER)
    ] = None,
    amp: Annotated[bool | None, _flag("amp", "bfloat16 autocast.", RUN)] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 2,
    settings: SetOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Run an unlearning method on a trained base; what it shall forget is read from a list, or drawn and written."""
    given = dict(locals())
    from vestige.data.samples import SamplesConfig
    from vestige.steps.unlearn import Asked
    from vestige.steps.unlearn import unlearn as run

    own = (
        *("epochs", "batch_size", "lr", "alpha_weight", "beta_weight", "kl_reg_weight", "kl_mask_forgotten"),
        *("freeze_lm_head", "unlikelihood_weight", "pairwise_weight", "pairwise_margin", "hard_neg_k"),
        *("topk_penalty_weight", "topk_k", "topk_margin", "abs_suppression_weight", "abs_suppression_margin"),
        *("lora_r", "lora_alpha", "lora_dropout", "router_hidden", "router_dropout", "router_lr"),
        *("router_weight_decay", "router_epochs", "router_batch_size", "target_precision", "amp"),
    )
    values = _present({name: given[name] for name in own})
    if warm_start is not None:
        inside = warm_start / "model"  # of a folder that `unlearn` wrote; else what a run of a board stored
        values["warm_start"] = str(inside if inside.is_dir() else warm_start)
    drawing = _present(
        {
            "forget": forget_users,
            "retain": retain_users,
            "percent": percent,
            "min_events": min_events,
            "min_rating": high_rating,
        }
    )
    if forget is not None and drawing:
        raise InputError("--forget-samples names the list, so nothing is drawn; leave out the options of the draw.")
    if forget is None and retain is None and _drop(missing):
        raise InputError("--missing is for a list; give one with --forget-samples.")
    if forget is None and dataset_path is not None and (dataset_path / "forget_samples_subset.json").is_file():
        typer.echo(
            f"note: what is forgotten is drawn anew; {dataset_path / 'forget_samples_subset.json'} is read with "
            "--forget-samples only.",
            err=True,
        )
    with _progress("unlearn") as progress:
        manifest = run(
            model,
            output,
            plugins=_plugins(),
            method=method,
            preset=preset,
            settings={**values, **_settings(settings)},
            asked=Asked(forget, _drop(missing), _checked(SamplesConfig, drawing, "the draw"), retain),
            place=dataset_path,
            seed=seed,
            machine=_machine(device, threads),
            overwrite=overwrite,
            progress=progress,
        )
    assert manifest.forgotten is not None
    notes = manifest.notes
    _tell_dropped(manifest.forgotten)
    if left := int(notes.get("users to retain left out", 0)):
        typer.echo(f"{retain}: {left} of its users are left out: they are not retained")
    typer.echo(
        f"forgot {notes['forgotten interactions']} interactions of {notes['affected users']} users in "
        f"{_seconds(manifest)} (list: {output / manifest.forgotten.file})"
    )
    typer.echo(f"model: {output}")


def evaluate(
    original_model: OriginalOption,
    unlearned_model: Annotated[Path, _place("unlearned_model", "What `unlearn` wrote.", MODEL, callback=_folder)],
    gold_model: GoldOption = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Both models side by side; always so.", hidden=True)
    ] = True,
    dataset_path: PlaceOption = None,
    k_values: Annotated[str, _option("k_values", "Lengths of lists, as in 10,20 (the default).", RUN)] = "10,20",
    eval_sample_size: Annotated[
        int | None, _option("eval_sample_size", "At most so many users of each view; everybody unless given.", RUN)
    ] = None,
    retain_samples: Annotated[
        Path | None, _place("retain_samples", "Of whom `retain` is asked: retain_samples_subset.json.", RUN)
    ] = None,
    missing: Annotated[
        str, typer.Option(help="error, or drop what that file names and is not there.", rich_help_panel=RUN)
    ] = "error",
    num_beams: Annotated[
        int | None, _option("num_beams", "Where several tokens spell an item: beams; 0, exact.", RUN)
    ] = None,
    output: CsvOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 2,
) -> None:
    """Measure hit and ndcg of base, unlearned model and gold on every view, with 95 % intervals over users."""
    del compare
    k = _lengths(k_values)
    if retain_samples is None and _drop(missing):
        raise InputError("--missing is for a list; give one with --retain-samples.")
    if num_beams is not None and num_beams < 0:
        raise InputError(f"--num-beams: 0 (exact) or more is needed, not {num_beams}.")
    from vestige.steps.measure import Models, Sample
    from vestige.steps.measure import evaluate as run

    with _progress("evaluate") as progress:
        found = run(
            Models(original_model, unlearned_model, gold_model),
            plugins=_plugins(),
            k=k,
            sample=Sample(_sample_size("--eval-sample-size", eval_sample_size), retain_samples, seed, _drop(missing)),
            place=dataset_path,
            machine=_machine(device, threads),
            settings=_present({"beams": num_beams}),
            progress=progress,
        )
    _show(found, output)


def attack(
    original_model: OriginalOption,
    unlearned: Annotated[Path, _place("unlearned_artifacts", "What `unlearn` wrote.", MODEL, callback=_folder)],
    gold_model: GoldOption = None,
    control_model: Annotated[
        Path | None, _place("control_model", "A second gold of another seed: adds the calibrated attack.", MODEL)
    ] = None,
    dataset_path: PlaceOption = None,
    eval_users: Annotated[
        int | None, _option("eval_users", "At most so many users of each side; everybody unless given.", RUN)
    ] = None,
    output: CsvOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 2,
) -> None:
    """Measure how well what was forgotten can be told from what no model was trained on: an AUC for each model."""
    from vestige.steps.measure import Models, Sample
    from vestige.steps.measure import attack as run

    with _progress("attack") as progress:
        found = run(
            Models(original_model, unlearned, gold_model, control_model),
            plugins=_plugins(),
            sample=Sample(_sample_size("--eval-users", eval_users), None, seed),
            place=dataset_path,
            machine=_machine(device, threads),
            progress=progress,
        )
    _show(found, output)


def recommend(
    model: Annotated[Path, _place("model", "What `train` or `unlearn` wrote.", MODEL, callback=_folder)],
    histories: Annotated[Path, _place("histories", "One history a line: item ids, oldest first.", DATA)],
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="Items a list.")] = 10,
    original_model: Annotated[Path | None, _place("original_model", "The base, if it was moved.", MODEL)] = None,
    dataset_path: PlaceOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write here instead, tab-separated.", callback=to_write)
    ] = None,
    device: DeviceOption = "cpu",
    threads: ThreadsOption = 2,
) -> None:
    """Name the items that a saved model, a dual memory among them, scores highest after given histories."""
    from vestige.pipeline.store import write_atomically
    from vestige.steps.recommend import recommend as run

    found = run(
        model,
        histories,
        plugins=_plugins(),
        k=k,
        base=original_model,
        place=dataset_path,
        machine=_machine(device, threads),
    )
    lines = ["history\trank\titem\tlog_prob", *(f"{r.line}\t{r.rank}\t{r.item}\t{r.log_prob:.4f}" for r in found)]
    if output is None:
        typer.echo("\n".join(lines))
    else:
        write_atomically(output, ("\n".join(lines) + "\n").encode())


# -- what the commands share ----------------------------------------------------------------------------------


def _plugins() -> "Plugins":
    from vestige import plugins

    return plugins.load()


def _machine(device: str, threads: int) -> "Machine":
    from vestige.pipeline.resources import hide_gpus
    from vestige.quiet import quiet_libraries
    from vestige.steps.running import Machine

    quiet_libraries()
    hide_gpus(device)  # from the command's own process; whoever calls a step from Python may want one later
    return Machine(device, threads)


def _checked(model: Any, values: Mapping[str, Any], where: str) -> Any:
    from vestige import configs

    return configs.validate(model, values, where)


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name, value in values.items() if value is not None}


def _tell_dropped(left: "Left") -> None:
    """What of a list was dropped, where something might be."""
    from vestige.data.request import left_out

    if said := left_out(left.file, left.notes):
        typer.echo(said)


def _settings(texts: list[str] | None) -> dict[str, Any]:
    """`KEY=VALUE`, the value as in TOML where it is one, else as text."""
    import tomllib

    out: dict[str, Any] = {}
    for text in texts or ():
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise InputError(f"--set {text}: KEY=VALUE is needed, as in --set lora_r=8.")
        if key.strip() in ("name", "preset"):
            raise InputError(f"--set {text}: this is no setting; there is an option of its own for it.")
        try:
            out[key.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            out[key.strip()] = value
    return out


def _drop(missing: str) -> bool:
    if missing not in ("error", "drop"):
        raise InputError(f"--missing: error or drop is needed, not {missing!r}.")
    return missing == "drop"


def _lengths(text: str) -> tuple[int, ...]:
    """`10,20` as numbers."""
    try:
        k = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(
            f"--k-values: whole numbers are needed, separated by commas, as in 10,20; not {text!r}."
        ) from None
    if min(k) < 1:
        raise InputError(f"--k-values: a list has at least 1 item, not {min(k)}.")
    return tuple(dict.fromkeys(k))


def _sample_size(option: str, size: int | None) -> int | None:
    if size is not None and size < 1:
        raise InputError(f"{option}: at least 1 user must be asked, not {size}; leave it out to ask everybody.")
    return size


def _seconds(manifest: "Manifest") -> str:
    return f"{manifest.cost['seconds'] or 0.0:.1f} s"


def _show(found: "Measured", output: Path | None) -> None:
    """Prints one row a measurement and a column a model and comparison, and writes them all where that is asked."""
    from vestige.console import table

    cells = {(row.metric, row.view, row.model): row for row in found.rows}
    models = list(dict.fromkeys(row.model for row in found.rows))
    names = [(view, metric) for view, metric in dict.fromkeys((row.view, row.metric) for row in found.rows)]
    views = list(dict.fromkeys(view for view, _ in names))
    compared = [
        (suffix, title)
        for suffix, title in ((":vs_base", "change, %"), (":vs_gold", "unlearned − gold"))
        if any(metric.endswith(suffix) for _, metric in names)
    ]
    rows = [
        [
            f"{metric}/{view}",
            *[_cell(cells.get((metric, view, model))) for model in models],
            *[_cell(cells.get((metric + suffix, view, "unlearned"))) for suffix, _ in compared],
        ]
        for view, metric in sorted(names, key=lambda name: views.index(name[0]))
        if ":" not in metric
    ]
    table(["", *models, *[title for _, title in compared]], rows)
    for remark in found.remarks:
        typer.echo(f"note: {remark}")
    if output is not None:
        import csv
        import io

        from vestige.pipeline.store import write_atomically

        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["metric", "view", "model", "value", "ci_low", "ci_high", "users", "queries", "note"])
        for row in found.rows:
            low, high = row.interval or ("", "")
            value = "" if row.value is None else row.value
            writer.writerow([row.metric, row.view, row.model, value, low, high, row.users, row.queries, row.note])
        write_atomically(output, text.getvalue().encode())
        typer.echo(f"table: {output}")


def _cell(row: "Row | None") -> str:
    if row is None:
        return ""
    if row.value is None:
        return "—"
    span = "" if row.interval is None else f" [{row.interval[0]:.4f}, {row.interval[1]:.4f}]"
    return f"{row.value:.4f}{span}" + (f" ({row.note})" if row.note else "")


@contextlib.contextmanager
def _progress(what: str) -> Iterator[Progress]:
    """A bar on a terminal; elsewhere a line every half minute."""
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from vestige.console import console

    if not console().is_terminal:
        spoke = time.monotonic()

        def told(share: float, text: str = "") -> None:
            nonlocal spoke
            if time.monotonic() - spoke >= 30:
                spoke = time.monotonic()
                print(f"  {what}: {100 * share:.0f} % {text}", file=sys.stderr, flush=True)

        yield told
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console(), transient=True) as bar:
        task = bar.add_task(what, total=1.0, note="")
        yield lambda share, text="": bar.update(task, completed=share, note=text)
