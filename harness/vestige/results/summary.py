"""What a board is about and what it says as a whole, in sentences."""

from vestige.results.cells import plain, value
from vestige.results.pooling import Results
from vestige.results.sections import k_of
from vestige.results.streams import sentences
from vestige.results.verdicts import beats_popularity, closed, few_forgotten, invalid, rests_on_few


def facts(results: Results) -> str:
    """What the board is about, in a few sentences."""
    first = results.finished[0].record
    identity, data = first.identity, first.outcome.notes["dataset"]
    seeds = results.about["seeds"]
    return (
        f"Dataset {identity.dataset.name}: {data['users']} users, {data['items']} items, {data['interactions']} "
        f"interactions. Request: {forgotten(results)}. Recommender {identity.recommender.name}. "
        f"{'Seed' if len(seeds) == 1 else 'Seeds'} {', '.join(map(str, seeds))}"
        + ("." if len(seeds) == 1 else ", pooled; intervals over users, 95 %.")
        + (" What is forgotten is resampled by item." if of_items(results) else "")
        + (f" {stream}" if (stream := sentences(results)) else "")
    )


def forgotten(results: Results) -> str:
    """What the request is about, in numbers; where seeds differ, from the fewest to the most."""
    counts: dict[str, list[int]] = {}
    for item in results.finished:
        for name, count in item.record.outcome.notes.get("request", {}).items():
            counts.setdefault(name, []).append(count)
    shown = {name: (min(of), max(of)) for name, of in counts.items()}
    return ", ".join(f"{low if low == high else f'{low} to {high}'} {name}" for name, (low, high) in shown.items())


def of_items(results: Results) -> bool:
    """Whether items are withdrawn, at once or step by step."""
    request = results.finished[0].record.identity.request
    return bool(request.get("of", request["kind"]) == "items")


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
    if few := few_forgotten(results):
        out.append(f"**{few}**")
    base, gold = results.label_of("do_nothing"), results.label_of("retrain")
    remembered = results.pooled(base, f"hit@{k}:vs_gold/forget") if base and gold else None
    if remembered and remembered.value is not None:
        words = ("Base remembers:", "Base may remember nothing:", "Base does not remember:")
        few = rests_on_few(results, str(base))
        how = words[1] if few else _by_interval(remembered.interval, *words)
        gap = f"{value(remembered.value, remembered.interval)} above gold's"
        lines = [f"{how} its hit@{k} on `forget` is {gap}{f', which {few}' if few else ''}."]
        for label in results.competing:
            share = closed(results, label)
            if share is not None and label not in (base, gold):
                gap = "the gap between its own base and own gold" if label in results.own_based else "that gap"
                lines.append(f"{plain(label)} closes {100 * share:.0f} % of {gap}{_beyond(results, label, share)}.")
        out.append(" ".join(lines))
    return out


def _beyond(results: Results, label: str, share: float) -> str:
    """What it means where a row closes more than all of the gap."""
    if share <= 1:
        return ""
    left = results.pooled(label, f"hit@{k_of(results)}:vs_gold/forget")
    return _by_interval(left.interval if left else None, "", "", " (it suppresses what gold still recommends)")


def _by_interval(interval: tuple[float, float] | None, above: str, around: str, below: str) -> str:
    """One of three, by where an interval lies as seen from 0; without one, `around`."""
    low, high = interval or (0.0, 0.0)
    return above if low > 0 else below if high < 0 else around
