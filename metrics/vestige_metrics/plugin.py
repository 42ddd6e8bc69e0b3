"""The metrics that come with Vestige."""

from vestige.hookspecs import hookimpl
from vestige.specs import MetricSpec
from vestige_metrics.configs import NoSettings, RankingConfig


@hookimpl
def vestige_metrics() -> list[MetricSpec]:
    """`ranking`, `collateral`, `membership`, `router`, `fidelity` and `cost`."""
    ranking = ("hit@{k}", "ndcg@{k}")
    attacks = ("raw", "calibrated", "learned", "swap")
    return [
        MetricSpec(
            name="ranking",
            version="1",
            summary="hit and ndcg over the whole catalogue, on every view, against base and gold.",
            factory="vestige_metrics.ranking:Ranking",
            config=RankingConfig,
            measures=(*ranking, *(f"{name}:{against}" for name in ranking for against in ("vs_base", "vs_gold"))),
        ),
        MetricSpec(
            name="collateral",
            version="1",
            summary="What neighbours of the forgotten lost beyond what similar other users lost.",
            factory="vestige_metrics.collateral:Collateral",
            config=NoSettings,
            measures=("collateral",),
        ),
        MetricSpec(
            name="membership",
            version="1",
            summary="Can the forgotten be told from the never-trained? Score, calibrated, learned and swap attacks.",
            factory="vestige_metrics.membership:Membership",
            config=NoSettings,
            measures=(
                *(f"auc_{attack}{suffix}" for attack in attacks for suffix in ("", ":vs_gold")),
                *(f"tpr@{fpr}%_{attack}" for attack in ("raw", "calibrated") for fpr in (1, 5)),
            ),
        ),
        MetricSpec(
            name="router",
            version="1",
            summary="What a router gives away about who asked to be forgotten.",
            factory="vestige_metrics.router:Router",
            config=NoSettings,
            measures=("router_auc", "router_tpr@1%", "router_tpr@5%", "router_share"),
        ),
        MetricSpec(
            name="fidelity",
            version="1",
            summary="How near the forgotten transitions' scores came to gold's.",
            factory="vestige_metrics.fidelity:Fidelity",
            config=NoSettings,
            measures=("fidelity", "distance", "shift", "ks", "ks_p", "jensen_shannon"),
        ),
        MetricSpec(
            name="cost",
            version="1",
            summary="Seconds, FLOPs, parameters, memory, bytes and latency, as ratios to retraining.",
            factory="vestige_metrics.cost:Cost",
            config=NoSettings,
            measures=(
                "seconds",
                *(f"cost_amortised@{requests}" for requests in (1, 10, 100)),
                *(
                    f"cost_{what}"
                    for what in ("seconds", "flops", "parameters", "peak_memory", "stored_bytes", "latency")
                ),
            ),
        ),
    ]
