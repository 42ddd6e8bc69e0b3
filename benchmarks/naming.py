"""Items of several tokens: exact scores against beam search, in speed and in what comes back."""

from collections.abc import Callable

import numpy as np

Seconds = Callable[[Callable[[], object]], float]

ITEMS, USERS, ASKED, BEAMED = 1000, 400, 128, 16
TOP = 10


def naming(seconds: Seconds) -> None:
    """Prints users a second of the exact search, of ours with a beam, and of `generate` with 50 constrained beams.

    The model is `nano`, trained for a few passes on generated data, so that it has preferences; its items have names of
    an index by clusters. For each beam: how often its top 10 is another set than the exact one.
    """
    from vestige.data.sequences import sequences
    from vestige.progress import silent
    from vestige.recommenders.contract import Catalogue
    from vestige.recommenders.t5 import T5Recommender
    from vestige.recommenders.t5_config import PRESETS, T5RecommenderConfig

    rng = np.random.default_rng(0)
    steps = rng.integers(1, 4, (USERS, 65))
    rows = sequences(((rng.integers(0, ITEMS, (USERS, 1)) + steps.cumsum(axis=1)) % ITEMS).tolist())
    config = T5RecommenderConfig(**{**PRESETS["nano"], "items": "collaborative", "passes": 8})
    model = T5Recommender(config, Catalogue(tuple(map(str, range(ITEMS)))))
    model.fit(rows, 0, silent)
    histories = rows.take(np.arange(ASKED))
    exact = model.score(histories)
    exact_rate = ASKED / seconds(lambda: model.score(histories))
    print(
        f"naming     nano, {ITEMS:,} items by clusters, {model.codes.longest} tokens a name: "
        f"exact {exact_rate:.0f} users/s"
    )
    for beams in (1, 5, 10):
        model.config = config.model_copy(update={"beams": beams})
        rate = ASKED / seconds(lambda: model.score(histories))
        other = differ(top(exact), top(model.score(histories)))
        print(f"           beam of {beams}: {rate:.0f} users/s, exact / beam {exact_rate / rate:.2f}, {other}")
    few = histories.take(np.arange(BEAMED))
    found = generated(model, few)
    rate = BEAMED / seconds(lambda: generated(model, few))
    other = differ(top(exact[:BEAMED]), found)
    print(f"           generate, 50 beams: {rate:.1f} users/s, exact / beam {exact_rate / rate:.1f}, {other}")


def top(scores: np.ndarray) -> np.ndarray:
    """[queries, 10]: the best items."""
    return np.argsort(-scores, axis=1, kind="stable")[:, :TOP]


def differ(exact: np.ndarray, found: np.ndarray) -> str:
    """How often two top tens hold other items."""
    share = np.mean([set(a) != set(b) for a, b in zip(exact.tolist(), found.tolist(), strict=True)])
    return f"top {TOP} differs for {100 * share:.0f} % of users"


def generated(model, histories) -> np.ndarray:
    """[queries, 10]: what `generate` of transformers finds with 50 beams that may only spell items."""
    encoder, decoder, last = model.question(histories)
    assert (last == last[0]).all()  # `generate` takes no padding in the decoder
    decoder = decoder[:, : int(last[0]) + 1]
    codes = model.codes
    names = [tuple(codes.answers[name].tolist()) for name in np.split(codes.spelled, codes.offsets[1:-1])]
    item_of = {name: item for item, name in enumerate(names)}
    after: dict[tuple[int, ...], set[int]] = {}
    for name in names:
        for cut in range(len(name)):
            after.setdefault(name[:cut], set()).add(name[cut])
    begun = decoder.shape[1]
    said = model.module.generate(
        encoder,
        attention_mask=(encoder != 0).long(),
        decoder_input_ids=decoder,
        max_new_tokens=codes.longest,
        min_new_tokens=codes.longest,
        num_beams=50,
        num_return_sequences=TOP,
        length_penalty=0.0,
        prefix_allowed_tokens_fn=lambda _, ids: sorted(after[tuple(ids[begun:].tolist())]),
    )
    items = [item_of[tuple(row)] for row in said[:, begun:].tolist()]
    return np.asarray(items).reshape(len(histories), TOP)
