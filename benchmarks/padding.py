"""What a training step takes where positions without a target meet no catalogue, and logits are not kept."""

import time
from collections.abc import Callable

import numpy as np
import torch

SIZES = {
    "short sequences, many items (Amazon Beauty)": (7, 12_101, 128),
    "long sequences (MovieLens-1M)": (90, 3_533, 32),
}
"""Interactions of a sequence on average, items, and sequences of a batch, as on the boards of both."""

ROUNDS = 15


def padding() -> None:
    """Prints seconds of other steps as ratios to those of ours, `nano`; the arms take turns.

    One is over every position, padding too; one is over those with a target, and keeps their logits for the gradient.

    Lengths of sequences are drawn geometrically round a mean, as those of users are skewed too.
    """
    from vestige.data.sequences import sequences
    from vestige.recommenders.contract import Catalogue
    from vestige.recommenders.cross_entropy import mean_cross_entropy
    from vestige.recommenders.t5 import IGNORED, T5Recommender
    from vestige.recommenders.t5_config import PRESETS, T5RecommenderConfig
    from vestige.recommenders.torch_tools import deterministic

    deterministic(0)  # as training is
    for name, (mean, items, rows) in SIZES.items():
        rng = np.random.default_rng(0)
        model = T5Recommender(T5RecommenderConfig(**PRESETS["nano"]), Catalogue(tuple(map(str, range(items)))))
        lengths = 4 + rng.geometric(1 / (mean - 4), rows)
        batch = model.batch(sequences([rng.integers(0, items, n).tolist() for n in lengths]), rng)

        def ours(model: T5Recommender = model, batch: object = batch) -> torch.Tensor:
            return model.batch_loss(batch)  # type: ignore[arg-type]

        def everywhere(model: T5Recommender = model, batch: object = batch) -> torch.Tensor:
            logits = model.token_logits(batch.encoder, batch.decoder)  # type: ignore[attr-defined]
            targets = batch.targets.flatten()  # type: ignore[attr-defined]
            return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets, ignore_index=IGNORED)

        def kept(model: T5Recommender = model, batch: object = batch) -> torch.Tensor:
            states = model.decode(*model.encode(batch.encoder), batch.decoder)  # type: ignore[attr-defined]
            return mean_cross_entropy(states, batch.targets, model.project)  # type: ignore[attr-defined]

        arms: dict[str, Callable[[], torch.Tensor]] = {"ours": ours, "everywhere": everywhere, "kept": kept}
        taken = {arm: np.empty(ROUNDS) for arm in arms}
        for turn in range(-2, ROUNDS):
            for arm, loss in arms.items():
                model.module.zero_grad(set_to_none=True)
                start = time.perf_counter()
                loss().backward()
                if turn >= 0:
                    taken[arm][turn] = time.perf_counter() - start
        middle = {arm: float(np.median(seconds)) for arm, seconds in taken.items()}
        share = float((batch.targets == IGNORED).float().mean())
        print(
            f"padding    {name}: {share:.0%} of the positions are padding; projecting all takes "
            f"{middle['everywhere'] / middle['ours']:.2f} x, keeping logits {middle['kept'] / middle['ours']:.2f} x"
        )
