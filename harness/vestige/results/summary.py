"""What a board is about and what it says as a whole, in sentences."""

from vestige.results.pooling import Results
from vestige.results.sections import k_of
from vestige.results.streams import sentences
from vestige.results.verdicts import beats_popularity, closed, invalid


def facts(results: Results) -> str:
    """What the board is about, in a few sentences."""
    first = results.finished[0].record
    identity, notes = first.identity, first.outcome.notes
    data, request = notes["dataset"], notes["request"]
    seeds = results.about["seeds"]
    of_items = identity.request.get("of", identity.request["kind"]) == "items"
    forgotten = ", ".join(f"{value} {name}" for name, value in request.items())
    return (
        f"Dataset {identity.dataset.name}: {data['users']} users, {data['items']} items, {data['interactions']} "
        f"interactions. Request: {forgotten}. Recommender {identity.recommender.name}. "
        f"{'Seed' if len(seeds) == 1 else 'Seeds'} {', '.join(map(str, seeds))}"
        + ("." if len(seeds) == 1 else ", pooled; intervals over users, 95 %.")
        + (" What is forgotten is averaged and resampled by item." if of_items else "")
        + (f" {stream}" if (stream := sentences(results)) else "")
    )


def verdict_lines(results: Results) -> list[str]:
    """What the board says as a whole, a sentence or two a line."""
    out = []
    fault, better = invalid(results), beats_popularity(results)
    k = k_of(results)
    if fault:
        out.append(f"**{fault}**")
    elif better:
        low, high = better.interval
        out.append(
            f"Gold beats the popularity list on `retain` by {better.value:.4f} [{low:.4f}, {high:.4f}] in hit@{k}."
        )
    base, gold = results.label_of("do_nothing"), results.label_of("retrain")
    remembered = results.difference(base, gold, f"hit@{k}/forget") if base and gold else None
    if remembered and base and gold:
        low, high = remembered.interval
        lines = [
            f"Base remembers: its hit@{k} on `forget` is {remembered.value:.4f} [{low:.4f}, {high:.4f}] above gold's."
        ]
        for label in results.competing:
            share = closed(results, label)
            if share is not None and label not in (base, gold):
                beyond = " (more than all of it: it suppresses what gold still recommends)" if share > 1 else ""
                gap = "the gap between its own base and own gold" if label in results.own_based else "that gap"
                lines.append(f"{label} closes {100 * share:.0f} % of {gap}{beyond}.")
        out.append(" ".join(lines))
    return out
