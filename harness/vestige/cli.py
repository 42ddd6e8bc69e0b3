"""The command line. Nothing heavy is imported until a command needs it, so `--help` answers at once."""

import contextlib
import errno
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vestige import step_commands
from vestige.errors import InputError, VestigeError, blamed
from vestige.places import at_home, home, to_write

if TYPE_CHECKING:
    from vestige.plugins import Plugins

app = typer.Typer(
    name="vestige",
    help="Measures what a recommender still remembers after it was told to forget.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Datasets: list, fetch, describe.", no_args_is_help=True)
cache_app = typer.Typer(help="The store of trained models and results.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(cache_app, name="cache")

BoardArgument = Annotated[str, typer.Argument(help="A folder with a board.toml, or the name of a board that ships.")]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out", help="Where results go; vestige-out/BOARD unless given.", show_default=False, callback=at_home
    ),
]
MethodOption = Annotated[
    list[str] | None, typer.Option("--method", help="NAME or NAME:preset, run beside the board's own; repeatable.")
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="ROW",
        help="Of the board's own rows this one, by its label, NAME or NAME:preset; repeatable. Base, gold and the "
        "controls always run, and what --method adds.",
        show_default=False,
    ),
]
SeedOption = Annotated[list[int] | None, typer.Option("--seed", help="Instead of the board's seeds; repeatable.")]
WorkersOption = Annotated[int, typer.Option(min=1, help="Jobs that run at once; changes no result.")]
ExecutorOption = Annotated[str, typer.Option(help="Where jobs run.")]
StrictOption = Annotated[bool, typer.Option("--strict-plugins", help="A broken plugin is an error.")]


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"vestige {version('vestige')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback where something goes wrong.")] = False,
) -> None:
    del version, debug  # `main` looks for --debug itself, since it must work for every failure


@app.command()
def run(
    board: BoardArgument,
    method: MethodOption = None,
    only: OnlyOption = None,
    seed: SeedOption = None,
    out: OutOption = None,
    workers: WorkersOption = 1,
    executor: ExecutorOption = "local",
    observer: Annotated[
        list[str] | None, typer.Option(help="An observer that is told of this run, such as mlflow; repeatable.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="SECONDS", help="Of one method or attack; instead of the board's limits."),
    ] = None,
    max_memory: Annotated[
        int | None,
        typer.Option(min=1, metavar="MIB", help="Of one method or attack; instead of the board's limits."),
    ] = None,
    strict_plugins: StrictOption = False,
) -> None:
    """Run what is missing of a board, and write its records and tables.

    Running the same command again resumes it. Exits with 1 where a cell failed.
    """
    from vestige import api
    from vestige.console import console
    from vestige.reports import report

    with report() as told:
        results = api.run(
            board,
            out=out,
            methods=method or (),
            only=only or (),
            seeds=seed,
            workers=workers,
            executor=executor,
            timeout=timeout,
            max_memory=max_memory,
            observers=observer or (),
            strict_plugins=strict_plugins,
            report=told,
        )
    _show(results.tables["markdown"].read_text(encoding="utf-8"))
    for item in results.failed:
        identity, outcome = item.record.identity, item.record.outcome
        console().print(
            f"{identity.label}, seed {identity.seed}: {outcome.status}: {outcome.message} "
            f"(traceback in {results.folder / 'records' / (identity.cell + '.run.json')})",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    for warning in results.warnings:
        console().print(warning, markup=False, highlight=False, soft_wrap=True)
    typer.echo(f"table: {results.tables['markdown']}")
    if results.failed:
        raise typer.Exit(1)


@app.command()
def plan(
    board: BoardArgument,
    method: MethodOption = None,
    only: OnlyOption = None,
    seed: SeedOption = None,
    strict_plugins: StrictOption = False,
) -> None:
    """Show a board's cells, what is stored, and what would run."""
    from vestige import api
    from vestige.console import table
    from vestige.reports import Lines

    told = Lines()
    planned = api.make_plan(
        board,
        methods=method or (),
        only=only or (),
        seeds=seed,
        fetch=False,
        strict_plugins=strict_plugins,
        report=told,
    )
    missing = {job.id for job in planned.plan.missing(planned.store)}
    rows = [
        [cell.id, cell.label, str(cell.seed), "would run" if cell.job.id in missing else "stored"]
        for cell in planned.plan.cells
    ]
    table(["cell", "row", "seed", "result"], rows)
    by_stage: dict[str, list[int]] = {}
    for job in planned.plan.jobs:
        counts = by_stage.setdefault(job.stage, [0, 0])
        counts[0] += 1
        counts[1] += job.id in missing
    for stage, (all_jobs, to_run) in by_stage.items():
        typer.echo(f"{stage}: {all_jobs} jobs, {to_run} would run")


@app.command()
def tune(
    board: BoardArgument,
    method: Annotated[
        str,
        typer.Option(
            help="NAME or NAME:preset; the trials stand on the settings of the board's row, else of the preset."
        ),
    ],
    trials: Annotated[
        int, typer.Option(min=1, help="Settings that are tried; the first are the row's or the method's own.")
    ] = 8,
    seed: Annotated[
        list[int] | None,
        typer.Option(
            help="Of the study, none of the board's; the smallest that is not, unless given. Repeatable.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The study is written to tuning/METHOD.json in it; vestige-out/BOARD unless given.",
            show_default=False,
            callback=at_home,
        ),
    ] = None,
    workers: WorkersOption = 1,
    executor: ExecutorOption = "local",
    timeout: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="SECONDS", help="Of each job of a trial; instead of the board's limits."),
    ] = None,
    max_memory: Annotated[
        int | None, typer.Option(min=1, metavar="MIB", help="Of each job of a trial; instead of the board's limits.")
    ] = None,
    strict_plugins: StrictOption = False,
) -> None:
    """Choose a method's settings on seeds that are not the board's, by fidelity and utility on validation items.

    Test items are never asked about, and in place of a list another one alike is forgotten. A row uses the study with
    `tuned = "tuning/METHOD.json"`. Running the same command again resumes it. Exits with 1 where every trial failed.
    """
    from vestige import api
    from vestige.console import table
    from vestige.reports import report
    from vestige.results.tuned import summary, trial_rows

    with report() as told:
        done = api.tune(
            board,
            method,
            trials=trials,
            seeds=seed,
            out=out,
            workers=workers,
            executor=executor,
            timeout=timeout,
            max_memory=max_memory,
            strict_plugins=strict_plugins,
            report=told,
        )
    table(["trial", "score", "fidelity", "utility", "seconds", "settings"], trial_rows(done.study))
    typer.echo("\n".join(summary(done.study)))
    typer.echo(f"study: {done.file}")
    if done.study.chosen is None:
        raise typer.Exit(1)


@app.command()
def render(
    board: BoardArgument,
    out: OutOption = None,
    html: Annotated[bool, typer.Option("--html", help="Only the page; an error where the extra is missing.")] = False,
    strict_plugins: StrictOption = False,
) -> None:
    """Write a board's tables and its page again from the records of its last run."""
    from vestige import plugins as plugins_module
    from vestige.results.collect import settled
    from vestige.results.render import render as render_tables
    from vestige.results.sides import read_side

    folder = _written_folder(board, out)
    with settled(folder):
        results = read_side(folder).results  # all of it, before anything is written
        if html:
            from vestige.results.page.build import write_page

            typer.echo(f"page: {write_page(results, folder)}")
            return
        for path in render_tables(results, plugins_module.load(strict_plugins), folder, _say).values():
            typer.echo(f"table: {path}")


@app.command()
def view(
    board: BoardArgument,
    out: OutOption = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
) -> None:
    """Show a board's page in the browser, served on this machine alone, until Ctrl-C."""
    from vestige.results.collect import settled
    from vestige.results.page import serve
    from vestige.results.page.build import write_page
    from vestige.results.render import read_results

    folder = _written_folder(board, out)
    with settled(folder):
        page = write_page(read_results(folder), folder)
    with contextlib.suppress(Interrupted):  # the way in which it ends
        serve.view(page, port, browser, typer.echo)


@app.command()
def index(
    folder: Annotated[Path, typer.Argument(help="A folder of results folders, or of boards.")] = Path("vestige-out"),
) -> None:
    """Write the page of every board in a folder, and an index.html that lists them."""
    from vestige.results.page.index import index as write

    for path in write(folder):
        typer.echo(f"page: {path}")


@app.command()
def accept(board: BoardArgument, out: OutOption = None) -> None:
    """Make the fresh results of a board the accepted ones, beside its board.toml."""
    from vestige import plugins as plugins_module
    from vestige.pipeline.board import find, load
    from vestige.results.accept import accept as accept_results
    from vestige.results.collect import ACCEPTED, settled
    from vestige.results.render import render as render_tables
    from vestige.results.sides import read_side

    folder, fresh = find(board), _results_folder(board, out)
    if fresh.resolve() == (folder / ACCEPTED).resolve():
        raise InputError(f"{fresh}: these are the accepted results already; name the folder of a run with --out.")
    plugins = plugins_module.load()
    loaded = load(board, plugins)
    with settled(fresh):
        written = accept_results(
            fresh, folder, loaded, lambda place: render_tables(read_side(place).results, plugins, place, _say)
        )
    typer.echo(f"accepted: {len(written)} files in {folder}")


@app.command("new-board")
def new_board(
    name: Annotated[Path, typer.Argument(help="The folder to make; its name is the board's.")],
    extends: Annotated[str, typer.Option(help="The board to start from: its folder, or the name of one that ships.")],
) -> None:
    """Write a commented board.toml that starts from another board."""
    from vestige.scaffold import new_board as write

    file = write(name, extends)
    typer.echo(f"board: {file}")
    typer.echo(f"next: vestige plan {name}")


@app.command("new-plugin")
def new_plugin(
    name: Annotated[Path, typer.Argument(help="The folder to make; its name is the distribution's and the plugin's.")],
    kind: Annotated[str, typer.Option(help="method, dataset, metric, attack, recommender or renderer.")],
) -> None:
    """Write a package with a plugin that works: code, settings, tests, README and CI."""
    from vestige.scaffold import new_plugin as write

    folder = write(name, kind)
    typer.echo(f"package: {folder}")
    typer.echo(f"next: cd {folder} && pip install -e '.[dev]' && pytest")


@app.command()
def validate(
    plugin: Annotated[str, typer.Argument(help="The name of an installed plugin; see `vestige plugins`.")],
    kind: Annotated[str | None, typer.Option(help="Where a name is of several kinds.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of the plugin, as board.toml has it; repeatable."),
    ] = None,
) -> None:
    """Check a plugin against its contract, on small data, in seconds.

    Exits with 1 where a check failed, with what was wrong and what to change.
    """
    from vestige.quiet import quiet_libraries
    from vestige.testing.suite import parse_settings
    from vestige.testing.suite import validate as run_checks

    quiet_libraries()
    verdicts = run_checks(plugin, kind, parse_settings(settings or []), lambda verdict: typer.echo(str(verdict)))
    failed = sum(not verdict.ok for verdict in verdicts)
    typer.echo(f"{plugin}: {len(verdicts) - failed} of {len(verdicts)} checks passed")
    if failed:
        raise typer.Exit(1)


@app.command()
def check(
    board: BoardArgument,
    out: OutOption = None,
    accepted: Annotated[
        Path | None,
        typer.Option(
            help="The accepted results; accepted/ beside the board.toml unless given.",
            show_default=False,
            callback=at_home,
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write everything that was found here.", callback=to_write)
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option(help="Write a JUnit file here: a case a row and measurement.", callback=to_write),
    ] = None,
    summary: Annotated[Path | None, typer.Option(help="Write the Markdown summary here.", callback=to_write)] = None,
    workers: WorkersOption = 1,
    executor: ExecutorOption = "local",
    strict_plugins: StrictOption = False,
) -> None:
    """Run what is missing of a board, and compare it with its accepted results.

    Says PASS, FAIL or INCONCLUSIVE for each row and measurement. FAIL: worse by more than the tolerance, and surely so
    (paired by user and seed, one-sided p below 0.05 after Holm's adjustment); or a cell is missing or failed. Exits
    with 1 where anything is a FAIL, with 2 where the accepted results cannot be compared with.
    """
    from vestige import api
    from vestige.pipeline.store import write_atomically
    from vestige.reports import report
    from vestige.results import verdict_files
    from vestige.results.gate import Verdict

    with report() as told:
        found = api.check(
            board,
            out=out,
            accepted=accepted,
            workers=workers,
            executor=executor,
            strict_plugins=strict_plugins,
            report=told,
        )
    text = verdict_files.markdown(found)
    typer.echo(text.rstrip())
    for file, content in (
        (json_file, verdict_files.to_json(found).encode()),
        (junit, verdict_files.junit(found)),
        (summary, text.encode()),
    ):
        if file is not None:
            write_atomically(file, content)
    if found.verdict is Verdict.FAIL:
        raise typer.Exit(1)


@app.command()
def verify(
    results: Annotated[Path, typer.Argument(help="A results folder, as a run wrote it, or accepted/.")],
    board: Annotated[
        str | None, typer.Option(help="The board; the one that the results name unless given.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The seed that is run again; the board's first unless given.", show_default=False)
    ] = None,
    rerun: Annotated[bool, typer.Option("--rerun/--no-rerun", help="Whether a seed is run again.")] = True,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write what was found here.", callback=to_write)
    ] = None,
    workers: WorkersOption = 1,
    strict_plugins: StrictOption = False,
) -> None:
    """Check results that somebody submits: whole, of this board, consistent, and the same when a seed is run again.

    One line a check. Exits with 1 where one failed, with 2 where the results, the board or the seed cannot be found. To
    run a seed again runs the code of its methods.
    """
    from vestige import api
    from vestige.pipeline.store import write_atomically
    from vestige.reports import report

    with report() as told:
        found = api.verify(
            results,
            board=board,
            seed=seed,
            rerun=rerun,
            workers=workers,
            strict_plugins=strict_plugins,
            report=told,
        )
    typer.echo("\n".join(found.lines()))
    if json_file is not None:
        write_atomically(json_file, found.to_json().encode())
    if not found.ok:
        raise typer.Exit(1)


@app.command()
def compare(
    a: Annotated[
        str,
        typer.Argument(
            help="A results folder; a board: its fresh results, else accepted ones; or REVISION:BOARD, the accepted "
            "ones at a commit."
        ),
    ],
    b: Annotated[str | None, typer.Argument(help="The other one.", show_default=False)] = None,
    rows: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Two rows of A, by their labels, instead of B.", metavar="LABEL_A LABEL_B"),
    ] = None,
) -> None:
    """Compare two results folders or boards, or two rows of one: paired differences, wins and losses.

    A difference is B minus A with its 95 % interval, over the seeds that both have. A user is better off in B where the
    value is higher, or nearer to the target, as the measurement has it.
    """
    import tempfile

    from vestige.errors import InputError
    from vestige.results.compare import compare as compare_folders
    from vestige.results.compare import compare_rows, markdown, results_folder
    from vestige.results.revisions import accepted_at

    if (b is None) == (rows is None):
        raise InputError("compare: name either a second folder or board, or two rows with --rows LABEL_A LABEL_B.")
    with tempfile.TemporaryDirectory() as scratch:
        names = [a] if b is None else [a, b]
        folders = [
            accepted_at(name, Path(scratch) / str(place)) or results_folder(name, Path("vestige-out"))
            for place, name in enumerate(names)
        ]
        found = compare_rows(folders[0], rows) if rows is not None else compare_folders(*folders)
    # A commit's results lay in a folder that is gone.
    shown = [name if Path(scratch) in folder.parents else folder for name, folder in zip(names, folders, strict=True)]
    if rows is not None:
        typer.echo(f"A: {rows[0]}\nB: {rows[1]}, both of {shown[0]}\n")
    else:
        typer.echo(f"A: {shown[0]}\nB: {shown[1]}\n")
    typer.echo(markdown(found))


step_commands.register(app)


@app.command()
def plugins(
    name: Annotated[str | None, typer.Argument(help="Describe this one: its settings, presets, what is tuned.")] = None,
    strict_plugins: StrictOption = False,
) -> None:
    """List what is installed, from which distribution, and what is broken; or describe one plugin."""
    from vestige import plugins as plugins_module
    from vestige.console import table

    found = plugins_module.load(strict_plugins)
    if name is not None:
        _describe(name, found)
        return
    rows = [
        [f.spec.kind, f.spec.name, f.spec.version, f"{f.distribution} {f.distribution_version}", f.spec.summary, "ok"]
        for f in sorted(found.found, key=lambda f: (f.spec.kind, f.spec.name))
    ]
    rows += [
        ["plugin", b.name, "", f"{b.distribution} {b.distribution_version}", "", f"broken: {b.reason}"]
        for b in found.broken
    ]
    table(["kind", "name", "version", "distribution", "summary", "status"], rows)
    for warning in found.warnings:
        typer.echo(f"warning: {warning}", err=True)


def _describe(name: str, installed: "Plugins") -> None:
    from inspect import getdoc

    from vestige.configs import described
    from vestige.console import table

    named = [f for f in installed.found if f.spec.name == name]
    if not named:
        raise installed.unknown("plugin", name, {f.spec.name for f in installed.found})
    for f in named:
        spec = f.spec
        typer.echo(f"{spec.kind} {name} {spec.version} ({f.distribution} {f.distribution_version}): {spec.summary}")
        if settings := described(spec.config):
            typer.echo()
            table(["setting", "may be", "unless given"], settings)
        if settings and (text := getdoc(spec.config)):
            typer.echo(f"\n{text}")
        for preset, values in getattr(spec, "presets", {}).items():
            typer.echo(f"\npreset {preset}: {', '.join(f'{key} = {value!r}' for key, value in values.items())}")
        if search := getattr(spec, "search", None):
            typer.echo("\n`vestige tune` looks between:")
            table(["setting", "values"], [[key, values.told()] for key, values in search.items()])


@data_app.command("list")
def data_list(strict_plugins: StrictOption = False) -> None:
    """List the datasets, with their licences."""
    from vestige import plugins as plugins_module
    from vestige.console import table
    from vestige.specs import DatasetSpec

    specs = plugins_module.load(strict_plugins).all(DatasetSpec)
    table(
        ["name", "licence", "summary", "homepage"],
        [[name, spec.licence, spec.summary, spec.homepage] for name, spec in sorted(specs.items())],
    )


PathOption = Annotated[str | None, typer.Option("--path", help="The file or folder, for datasets that read yours.")]


@data_app.command("fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="A dataset; see `vestige data list`.")]) -> None:
    """Fetch a dataset into the cache and verify it."""
    with blamed(f"the dataset {name!r}"):
        _dataset(name, None).fetch(_say_progress)
    typer.echo(f"{name} is on this machine.")


@data_app.command("info")
def data_info(
    name: Annotated[str, typer.Argument(help="A dataset; see `vestige data list`.")], path: PathOption = None
) -> None:
    """Describe a dataset: licence, sizes, and what reading it did."""
    from vestige import plugins as plugins_module
    from vestige.console import table
    from vestige.specs import DatasetSpec

    spec = plugins_module.load().get(DatasetSpec, name)
    with blamed(f"the dataset {name!r}"):
        dataset = _dataset(name, path)
        if not dataset.is_local():
            dataset.fetch(_say_progress)
        data = dataset.load()
    facts: dict[str, Any] = {
        "licence": spec.licence,
        "homepage": spec.homepage,
        "users": data.n_users,
        "items": data.n_items,
        "interactions": len(data),
        "mean interactions a user": round(len(data) / data.n_users, 1),
        **data.notes,
        "content hash": data.content_hash,
    }
    table(["", name], [[key, str(value)] for key, value in facts.items() if value != ""])


@cache_app.command("ls")
def cache_ls() -> None:
    """List what the store holds."""
    from vestige import api
    from vestige.console import table

    store = api.open_store()
    artifacts = store.artifacts()
    table(
        ["stage", "key", "size"],
        [[a.stage, a.key[:16], f"{a.bytes / 2**20:.2f} MiB"] for a in artifacts],
    )
    typer.echo(f"{len(artifacts)} artifacts, {sum(a.bytes for a in artifacts) / 2**20:.1f} MiB in {store.root}")


@cache_app.command("gc")
def cache_gc(
    keep_days: Annotated[float, typer.Option(min=0, help="Keep what was made in the last so many days.")] = 30.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove what is older than --keep-days, and what killed runs left half made.

    A training that was stopped is as old as the stop; until it goes, a run goes on with it.
    """
    import time

    from vestige import api

    store = api.open_store()
    limit = time.time() - keep_days * 86400
    old = [a for a in store.artifacts() if (a.folder / "manifest.json").stat().st_mtime < limit]
    if not dry_run:
        for artifact in old:
            store.remove(artifact)
        store.sweep()
        store.give_up(limit)
    size = sum(a.bytes for a in old) / 2**20
    typer.echo(f"{'would remove' if dry_run else 'removed'} {len(old)} artifacts, {size:.1f} MiB")


def _results_folder(board: str, out: Path | None) -> Path:
    """Where a board's results lie: `out`, or the default folder of its name."""
    if out is not None:
        return out
    from vestige.pipeline.board import find

    return Path("vestige-out") / find(board).resolve().name


def _written_folder(board: str, out: Path | None) -> Path:
    """As `_results_folder`, where something is to be written there."""
    from vestige.results.collect import ACCEPTED

    folder = _results_folder(board, out)
    if folder.resolve().name == ACCEPTED:
        raise InputError(
            f"{folder}: accepted results lie there, which `vestige accept` alone writes; the table stands beside them, "
            "and `vestige index` writes the pages of a folder of boards."
        )
    return folder


def _dataset(name: str, path: str | None) -> Any:
    from vestige import configs
    from vestige import plugins as plugins_module
    from vestige.pipeline.store import cache_root
    from vestige.specs import DatasetSpec

    loaded: Plugins = plugins_module.load()
    spec = loaded.get(DatasetSpec, name)
    place = "folder" if "folder" in spec.config.model_fields else "path"
    values = {} if path is None else {place: str(home(path))}
    config = configs.validate(spec.config, values, f"dataset {name}")
    return spec.load()(config, cache_root() / "datasets" / name)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _say_progress(share: float, text: str = "") -> None:
    if text:
        typer.echo(text)


def _show(markdown: str) -> None:
    """The leaderboard's tables, and where the part for first-time readers stands."""
    tables, heading, _ = markdown.partition("## How to read this")
    typer.echo(tables.strip())
    if heading:
        typer.echo("\nWhat the rows, columns and capitals mean stands at the end of the table's file.")


def main() -> None:
    """Entry point: errors that one sentence explains are printed as that sentence."""

    def interrupted(number: int, frame: object) -> None:
        raise Interrupted("interrupted; run the same command again to go on.")

    signal.signal(signal.SIGINT, interrupted)
    debug = "--debug" in sys.argv[1:]
    arguments = [_dashed(word) for word in sys.argv[1:] if word != "--debug"]

    def work() -> None:
        kept, dropped = step_commands.without_dropped(arguments)
        for option in dropped:
            typer.echo(f"note: {option}: nothing is left for it to do here (docs/published-steps.md).", err=True)
        app(args=kept, standalone_mode=True)

    sys.exit(guarded(work, debug))


def _dashed(word: str) -> str:
    """`--k_values=10` as `--k-values=10`: options may be written with underscores too, as the published ones are."""
    name, sign, value = word.partition("=")
    return name.replace("_", "-") + sign + value if name.startswith("--") else word


def guarded(work: Callable[[], object], debug: bool) -> int:
    """Runs `work`; 2 for what the user can mend, with one sentence on standard error, 130 where they interrupted it."""
    try:
        work()
    except (VestigeError, Interrupted) as error:
        if debug:
            traceback.print_exc()
        typer.echo(f"vestige: {error}", err=True)
        return 130 if isinstance(error, Interrupted) else 2
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG or debug:
            raise
        typer.echo(f"vestige: {str(error.filename)[:40]}…: a name is longer than the system allows.", err=True)
        return 2
    return 0


class Interrupted(BaseException):
    """The user pressed Ctrl-C: no `Exception`, which whoever guards against plugins would take for one of theirs."""
