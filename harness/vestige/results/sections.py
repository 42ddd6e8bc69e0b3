"""Which measurements stand in which table of a leaderboard, and by which of them rows are compared with gold."""

from dataclasses import dataclass

from vestige.results.pooling import Results


@dataclass(frozen=True)
class Section:
    """One table.

    Attributes:
        title: Its heading.
        columns: Headings by `metric/view`.
        headlines: The measurements on which rows are compared with gold.
        whole: What is made of the other columns, if one of them is: these are shown for the seeds that have it, so that
            a reader can follow how it was made.
    """

    title: str
    columns: dict[str, str]
    headlines: tuple[str, ...] = ()
    whole: str = ""

    def seeds(self, results: Results, label: str, name: str) -> frozenset[int] | None:
        """The seeds that a row's value of a column is shown for; None for all that have one."""
        seeds = results.shared_seeds(self.whole, label) if name != self.whole != "" else frozenset()
        return seeds if 0 < len(seeds) < len(results.row(label)) else None


def k_of(results: Results) -> int:
    """The list length that tables show: 10 where the board has it."""
    ks = results.about["k"]
    return 10 if 10 in ks else int(ks[0])


def has(results: Results, name: str) -> bool:
    """Whether any cell has a value of `metric/view`."""
    return any((m := item.find(name)) is not None and m.value is not None for item in results.finished)


def headline_auc(results: Results) -> str:
    """The membership measurement that stands for all: swap where it exists, else calibrated, else raw."""
    names = ("auc_swap/forget", "auc_calibrated/forget", "auc_raw/forget")
    return next((name for name in names if has(results, name)), names[-1])


def attack_columns(results: Results) -> dict[str, str]:
    """The AUCs of all membership attacks that were run on the board, the router's own output not among them."""
    order = ("raw", "calibrated", "learned", "blackbox", "shadow", "swap")
    found = {
        m.metric.removeprefix("auc_")
        for item in results.finished
        for m in item.measurements
        if m.metric.startswith("auc_") and ":" not in m.metric and "permuted" not in m.metric and m.group != "power"
    } - {"blind", "latency"}
    names = [name for name in order if name in found] + sorted(found - set(order))
    return {f"auc_{name}/forget": f"AUC {name}" for name in names if has(results, f"auc_{name}/forget")}


def sections(results: Results) -> list[Section]:
    """The tables of a board, in the order in which they are read; the score stands last."""
    k = k_of(results)
    other = "unseen" if has(results, f"hit@{k}/unseen") else "affected"
    return [
        Section(
            "What it still recommends",
            {
                f"hit@{k}/retain": f"hit@{k} retain",
                f"ndcg@{k}/retain": f"ndcg@{k} retain",
                f"ndcg@{k}:vs_gold/retain": f"ndcg@{k} retain − gold",
                f"hit@{k}/{other}": f"hit@{k} {other}",
                "collateral/neighbours": "collateral",
                "withdrawn@10/retain": "withdrawn item in the list",
            },
            (f"ndcg@{k}/retain", "collateral/neighbours", "withdrawn@10/retain"),
        ),
        Section(
            "What it still remembers",
            {
                f"hit@{k}/forget": f"hit@{k} forget",
                f"hit@{k}:vs_gold/forget": f"hit@{k} forget − gold",
                "fidelity/forget": "fidelity",
                "distance/forget": "distance to gold",
                "shift/forget": "shift",
                "streisand/forget": "over-forgotten",
                "jensen_shannon/forget": "Jensen–Shannon",
            },
            (f"hit@{k}/forget",),
        ),
        Section(
            "Who can tell that somebody was forgotten",
            attack_columns(results),
            (headline_auc(results),),
        ),
        Section(
            "What the router gives away",
            {
                "router_auc/forget": "AUC router",
                "router_share/retain": "routed of R",
                "router_share/unseen_train": "routed of T",
                "router_share/forget": "routed of F",
                "auc_latency/forget": "AUC latency",
            },
        ),
        Section(
            "Whether its lists collapsed",
            {
                "coverage@10/retain": "coverage",
                "coverage@10:vs_gold/retain": "coverage − gold",
                "gini@10/retain": "Gini",
                "gini@10:vs_gold/retain": "Gini − gold",
                "popularity@10/retain": "popularity",
                "popularity@10:vs_gold/retain": "popularity − gold",
            },
        ),
        Section(
            "What it costs",
            {
                "seconds": "seconds",
                "cost_seconds": "time",
                "cost_amortised@10": "time, 10 requests",
                "cost_flops": "FLOPs",
                "cost_parameters": "parameters",
                "cost_peak_memory": "peak memory",
                "cost_stored_bytes": "stored bytes",
                "cost_latency": "latency",
            },
        ),
        Section(
            "Score, where the attacker can only ask (api)",
            {
                "utility": "U: utility",
                "fidelity/forget": "FF: fidelity",
                "privacy_api": "P: privacy",
                "recovery_api/forget": "RF: worst recovery",
                "score_api": "score",
            },
            whole="score_api",
        ),
        Section(
            "Score, where the attacker holds the files (weights)",
            {
                "utility": "U: utility",
                "fidelity/forget": "FF: fidelity",
                "privacy_weights": "P: privacy",
                "recovery_weights/forget": "RF: worst recovery",
                "score_weights": "score",
            },
            whole="score_weights",
        ),
    ]
