"""What a side memory adds to answering: by the share of the rows that are routed to it."""

import time
from collections.abc import Callable

import numpy as np
import torch

ITEMS, USERS, HISTORY = 3416, 2048, 65
SHARES = (0.0, 0.1, 0.5, 1.0)
ROUNDS = 5


def routing() -> None:
    """Prints seconds and FLOPs of a dual memory's answers as ratios to its main memory's, on MovieLens-1M's sizes.

    The models are `nano` with untrained weights, since what they answer costs the same; the threshold is set so that
    the share of the rows is routed that the line says. The arms take turns, and the median of their rounds counts.
    """
    from peft import LoraConfig, get_peft_model

    from vestige.data.sequences import sequences
    from vestige.recommenders.contract import Catalogue
    from vestige.recommenders.flops import count_flops
    from vestige.recommenders.t5 import T5Recommender
    from vestige.recommenders.t5_config import PRESETS, T5RecommenderConfig
    from vestige_methods.dual_memory.config import PRESETS as DISTILLED
    from vestige_methods.dual_memory.config import DualMemoryConfig
    from vestige_methods.dual_memory.layers import HEAD, known_targets
    from vestige_methods.dual_memory.model import DualMemoryModel, side_of
    from vestige_methods.dual_memory.router import Router, features_of

    rng = np.random.default_rng(0)
    catalogue = Catalogue(tuple(map(str, range(ITEMS))))
    config = T5RecommenderConfig(**PRESETS["nano"])
    main, twin = (T5Recommender(config, catalogue) for _ in range(2))
    own = DualMemoryConfig(**DISTILLED["distilled"])
    targets = known_targets(main, own.lora_targets or ()) + ([] if own.freeze_lm_head else [HEAD])
    adapter = get_peft_model(twin.module, LoraConfig(r=own.lora_r, target_modules=targets)).eval()
    histories = sequences(rng.integers(0, ITEMS, (USERS, HISTORY)).tolist())
    layers = own.router_layers
    features = features_of(main, histories, layers)
    torch.manual_seed(0)
    router = Router(features.shape[1], own.router_hidden, 0.0).eval()
    with torch.inference_mode():
        p = np.sort(torch.sigmoid(router(features)).numpy())[::-1]
    dual = {}
    for share in SHARES:
        count = round(share * USERS)
        threshold = 2.0 if count == 0 else float(p[count - 1])
        dual[share] = DualMemoryModel(main, adapter, router, threshold, layers, "hard")
    side = side_of(main, adapter.base_model.model)

    def whole(model: T5Recommender | DualMemoryModel) -> Callable[[], object]:
        return lambda: model.score(histories)

    arms = {"main memory alone": whole(main)}
    arms |= {f"{share:.0%} of the rows routed": whole(model) for share, model in dual.items()}
    arms["two whole models, each answering every row"] = lambda: (main.score(histories), side.score(histories))
    taken = {name: np.empty(ROUNDS) for name in arms}
    for turn in range(ROUNDS):
        for name, work in arms.items():
            start = time.perf_counter()
            work()
            taken[name][turn] = time.perf_counter() - start
    flops = {name: count_flops(work).count for name, work in arms.items()}
    first = next(iter(arms))
    print(f"routing    nano, {ITEMS:,} items, {USERS:,} rows: {first} {np.median(taken[first]):.2f} s")
    for name in list(arms)[1:]:
        ratio = np.median(taken[name] / taken[first])
        print(f"           {name}: {ratio:.2f} of its seconds, {flops[name] / flops[first]:.2f} of its FLOPs")
