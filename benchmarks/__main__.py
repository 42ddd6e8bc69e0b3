"""`make bench`: prints every claim about speed as a ratio of two things measured in the same run."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from vestige.quiet import quiet_libraries

THREADS = 2

# A folder called `datasets` stands beside this package, which transformers would take for Hugging Face's.
sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != Path(__file__).resolve().parents[1]]


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """The median wall time of `work`."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def start_up() -> None:
    """`vestige --help` and `vestige plugins` against importing torch."""

    def process(*words: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, *words], capture_output=True, check=True)

    torch_seconds = seconds(process("-c", "import torch"), 5)
    for name in ("--help", "plugins"):
        own = seconds(process("-m", "vestige", name), 5)
        print(f"start-up   {name}: {own:.2f} s, {own / torch_seconds:.2f} of `import torch` ({torch_seconds:.1f} s)")


def scoring() -> None:
    """Exact scores of the whole catalogue against a 50-beam search for the top 10, on the same model."""
    from vestige.data.sequences import sequences
    from vestige.recommenders.contract import Catalogue
    from vestige.recommenders.t5 import EOS, FIRST_ITEM, PAD, T5Recommender
    from vestige.recommenders.t5_config import PRESETS, T5RecommenderConfig

    rng = np.random.default_rng(0)
    catalogue = Catalogue(tuple(map(str, range(1682))))
    for preset, users, beamed in (("nano", 512, 32), ("small", 64, 4)):
        model = T5Recommender(T5RecommenderConfig(**PRESETS[preset]), catalogue)
        histories = sequences([rng.integers(0, 1682, 65).tolist() for _ in range(users)])
        few = histories.take(np.arange(beamed))
        encoder, decoder, _ = model.question(few)

        def beam(
            model: T5Recommender = model, encoder: torch.Tensor = encoder, decoder: torch.Tensor = decoder
        ) -> None:
            # One item token after the recent ones; special tokens are no items.
            model.module.generate(
                encoder,
                attention_mask=(encoder != PAD).long(),
                decoder_input_ids=decoder,
                max_new_tokens=1,
                num_beams=50,
                num_return_sequences=10,
                bad_words_ids=[[PAD], [EOS]],
            )

        exact_rate = users / seconds(lambda model=model, histories=histories: model.score(histories))  # type: ignore[misc]
        beam_rate = beamed / seconds(beam, 1)
        print(
            f"scoring    {preset}: exact {exact_rate:.1f} users/s, 50 beams {beam_rate:.1f} users/s, "
            f"ratio {exact_rate / beam_rate:.1f} ({FIRST_ITEM} special tokens, 1,682 items)"
        )


def training(limit: float) -> None:
    """Seconds to the same test hit@10 on ML-100K: ours, and one target a sample with the Hugging Face Trainer."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    from vestige.data.request import HoldoutConfig, Part, RequestConfig, draw
    from vestige.data.request import training as training_sequences
    from vestige.data.sequences import Sequences
    from vestige.data.views import build
    from vestige.pipeline.store import cache_root
    from vestige.progress import silent
    from vestige.recommenders.contract import Catalogue
    from vestige.recommenders.scoring import score_queries
    from vestige.recommenders.t5 import EOS, FIRST_ITEM, T5Recommender
    from vestige.recommenders.t5_config import PRESETS, T5RecommenderConfig
    from vestige_datasets.configs import MovieLens100KConfig
    from vestige_datasets.movielens import MovieLens100K
    from vestige_metrics.ranking import hit_at

    dataset = MovieLens100K(MovieLens100KConfig(), cache_root() / "datasets" / "ml-100k")
    dataset.fetch(silent)
    data = dataset.load()
    split = draw(data, RequestConfig(count=100), HoldoutConfig(), 0)
    queries = build(data, split, 0).queries["retain"]
    rows = training_sequences(data, split, [Part.RETAINED])
    config = T5RecommenderConfig(**PRESETS["nano"])
    catalogue = Catalogue(tuple(data.item_ids.tolist()))

    def hit(model: T5Recommender) -> float:
        scores = score_queries(model, queries, data.n_items)
        return float(hit_at(scores.above, scores.equal, 10).mean())

    ours = T5Recommender(config.model_copy(update={"passes": 8}), catalogue)
    start = time.perf_counter()
    ours.fit(rows, 0, silent)
    our_seconds = time.perf_counter() - start
    goal = hit(ours)

    theirs = T5Recommender(config, catalogue)

    class Samples(torch.utils.data.Dataset):  # type: ignore[type-arg]
        """One sample a transition: the last 50 items, and the next one."""

        def __init__(self, rows: Sequences) -> None:
            self.at = [(r, p) for r in range(len(rows)) for p in range(1, int(rows.lengths[r]))]
            self.rows = rows

        def __len__(self) -> int:
            return len(self.at)

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            row, position = self.at[index]
            history = self.rows.row(row)[max(0, position - config.context) : position] + FIRST_ITEM
            tokens = np.full(config.context + 1, 0, dtype=np.int64)
            tokens[: len(history)] = history
            tokens[len(history)] = EOS
            target = int(self.rows.row(row)[position]) + FIRST_ITEM
            return {
                "input_ids": torch.from_numpy(tokens),
                "attention_mask": torch.from_numpy((tokens != 0).astype(np.int64)),
                "labels": torch.tensor([target]),
            }

    class Encoded:
        """Scores as that model is trained: the whole history in the encoder, an empty decoder."""

        def score(self, histories: Sequences) -> np.ndarray:
            out = []
            for batch in theirs.scoring_batches(len(histories)):
                encoder = theirs._encoder_input(histories.take(batch).tail(config.context))
                decoder = torch.zeros((len(batch), 1), dtype=torch.long)
                with torch.inference_mode():
                    out.append(torch.log_softmax(theirs.token_logits(encoder, decoder)[:, 0], dim=-1).numpy())
            return np.concatenate(out)

        def save(self, folder: Path) -> None:
            """Not needed."""

    reached: list[float] = []
    clock = {"spent": 0.0, "since": time.perf_counter(), "best": 0.0}

    class Watch(TrainerCallback):
        """Stops at the goal, or at the limit; the time of looking is not counted."""

        def on_step_end(self, args, state, control, **rest):
            if state.global_step % 100:
                return
            clock["spent"] += time.perf_counter() - clock["since"]
            theirs.module.eval()
            scores = score_queries(Encoded(), queries, data.n_items)
            theirs.module.train()
            now = float(hit_at(scores.above, scores.equal, 10).mean())
            clock["best"] = max(clock["best"], now)
            if now >= goal:
                reached.append(clock["spent"])
            if now >= goal or clock["spent"] > limit:
                control.should_training_stop = True
            clock["since"] = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=256,
            learning_rate=5e-3,
            num_train_epochs=20,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=50,
            weight_decay=0.1,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            logging_strategy="no",
            save_strategy="no",
        )
        clock["since"] = time.perf_counter()
        Trainer(model=theirs.module, args=arguments, train_dataset=Samples(rows), callbacks=[Watch()]).train()
    if reached:
        print(
            f"training   ml-100k, test hit@10 {goal:.3f}: ours {our_seconds:.0f} s, one target a sample with Trainer "
            f"{reached[0]:.0f} s, ratio {reached[0] / our_seconds:.1f}"
        )
    else:
        print(
            f"training   ml-100k, test hit@10 {goal:.3f}: ours {our_seconds:.0f} s, one target a sample (Trainer) had "
            f"{clock['best']:.3f} after {clock['spent']:.0f} s, ratio above {clock['spent'] / our_seconds:.1f}"
        )


def outside_compute() -> None:
    """The share of the smoke board's time that is not training, unlearning, scoring or measuring."""
    from vestige import api
    from vestige.pipeline.jobs import Job, Outcome

    spent: dict[str, float] = {}

    class Sum(api.Silent):
        """Adds up seconds by stage."""

        def finished(self, job: Job, outcome: Outcome) -> None:
            spent[job.stage] = spent.get(job.stage, 0.0) + outcome.seconds

    kept = os.environ.get("VESTIGE_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VESTIGE_CACHE"] = folder
        start = time.perf_counter()
        api.run("smoke", out=Path(folder) / "out", report=Sum())
        whole = time.perf_counter() - start
    if kept is None:
        del os.environ["VESTIGE_CACHE"]
    else:
        os.environ["VESTIGE_CACHE"] = kept
    model = sum(spent.get(stage, 0.0) for stage in ("train", "unlearn", "score"))
    print(
        f"overhead   smoke: {whole:.0f} s, of which {100 * (whole - model) / whole:.0f} % outside model compute "
        f"({spent.get('measure', 0.0):.0f} s measuring, the rest start-up and files)"
    )


def nothing_to_do() -> None:
    """A second `vestige run quickstart`, in seconds; the first is run now if it never was."""
    words = [sys.executable, "-m", "vestige", "run", "quickstart", "--out"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*words, folder], check=True, capture_output=True)
        again = seconds(lambda: subprocess.run([*words, folder], check=True, capture_output=True))
    print(f"resuming   a second `vestige run quickstart` with nothing to do: {again:.1f} s")


def names() -> None:
    """Items of several tokens: exact scores against beams; see `benchmarks.naming`."""
    from benchmarks.naming import naming

    naming(seconds)


def routed() -> None:
    """What the side memory of a dual memory adds to answering; see `benchmarks.routing`."""
    from benchmarks.routing import routing

    routing()


def padded() -> None:
    """What a training step saves where padding is not projected onto the catalogue; see `benchmarks.padding`."""
    from benchmarks.padding import padding

    padding()


def simulation() -> None:
    """Whether intervals hold the truth as often as they say; see `benchmarks.simulate`."""
    from benchmarks import simulate

    simulate.main()


def measuring() -> None:
    """What measuring a method costs, stage by stage; see `benchmarks.measuring`."""
    from benchmarks.measuring import measuring as measure

    measure("quickstart", "dual_memory")


def main() -> None:
    """Runs all, or those named."""
    parts: dict[str, Callable[[], None]] = {
        "start-up": start_up,
        "scoring": scoring,
        "naming": names,
        "routing": routed,
        "padding": padded,
        "overhead": outside_compute,
        "training": lambda: training(arguments.limit),
        "resuming": nothing_to_do,
        "measuring": measuring,
        "simulation": simulation,
    }
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", choices=[[], *parts], help="all unless named")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds that the slower training may take")
    arguments = parser.parse_args()
    quiet_libraries()
    torch.set_num_threads(THREADS)
    for name in arguments.only or parts:
        parts[name]()


if __name__ == "__main__":
    main()
