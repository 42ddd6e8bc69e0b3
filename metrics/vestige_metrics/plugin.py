"""The metrics that come with Vestige."""

from vestige.hookspecs import hookimpl
from vestige.specs import MetricSpec
from vestige_metrics.configs import NoSettings, RankingConfig


@hookimpl
def vestige_metrics() -> list[MetricSpec]:
    """From ranking to the score."""
    ranking = ("hit@{k}", "ndcg@{k}")
    attacks = ("raw", "calibrated", "learned", "blackbox", "shadow", "swap")
    # What the built-in attack plugins tell; the names without a suffix come from their own specs.
    told = ("probe", "latency")
    return [
        MetricSpec(
            name="validity",
            version="1",
            summary="Does gold beat the popularity list? If not, nothing was learned, and the board is INVALID.",
            factory="vestige_metrics.validity:Validity",
            config=NoSettings,
            measures=("gold_vs_popularity",),
        ),
        MetricSpec(
            name="ranking",
            version="1",
            summary="hit and ndcg over the whole catalogue, on every view, against base and gold.",
            factory="vestige_metrics.ranking:Ranking",
            config=RankingConfig,
            measures=(*ranking, *(f"{name}:{against}" for name in ranking for against in ("vs_base", "vs_gold"))),
        ),
        MetricSpec(
            name="first_request",
            version="1",
            summary="What is left of the oldest request of a stream.",
            factory="vestige_metrics.first_request:FirstRequest",
            config=RankingConfig,
            measures=("first_hit@{k}", "first_hit@{k}:vs_gold"),
        ),
        MetricSpec(
            name="collateral",
            version="1",
            summary="Whether neighbours of the forgotten are served worse than by gold, beyond what others are.",
            factory="vestige_metrics.collateral:Collateral",
            config=NoSettings,
            measures=("collateral",),
        ),
        MetricSpec(
            name="membership",
            version="3",
            summary="Can the forgotten be told from the never-trained? Score, list, learned, shadow and swap attacks.",
            factory="vestige_metrics.membership:Membership",
            config=NoSettings,
            measures=(
                *(f"auc_{attack}{suffix}" for attack in attacks for suffix in ("", ":vs_gold")),
                *(f"auc_{attack}:vs_gold" for attack in told),
                *(f"tpr@{fpr}%_{attack}" for attack in ("raw", "calibrated", "shadow", "latency") for fpr in (1, 5)),
                *(f"standing_q{q:02d}_{attack}" for attack in ("raw", "calibrated") for q in (5, 25, 50, 75, 95)),
                "auc_blind",
                *(f"auc_permuted_{attack}" for attack in ("raw", "calibrated", "learned")),
            ),
        ),
        MetricSpec(
            name="router",
            version="4",
            summary="What a router gives away about who asked to be forgotten, and how good it is at its task.",
            factory="vestige_metrics.router:Router",
            config=NoSettings,
            measures=(
                *("router_auc", "router_tpr@1%", "router_tpr@5%", "router_share", "router_brier", "router_ece"),
                *(f"router_{cell}" for cell in ("precision", "tp", "fn", "fp", "tn")),
            ),
        ),
        MetricSpec(
            name="fidelity",
            version="2",
            summary="How near the forgotten transitions' scores came to gold's.",
            factory="vestige_metrics.fidelity:Fidelity",
            config=NoSettings,
            measures=("fidelity", "distance", "shift", "ks", "ks_p", "jensen_shannon"),
        ),
        MetricSpec(
            name="overforgetting",
            version="1",
            summary="Are forgotten items hidden deeper than never having known them would put them?",
            factory="vestige_metrics.overforgetting:OverForgetting",
            config=NoSettings,
            measures=("streisand",),
        ),
        MetricSpec(
            name="collapse",
            version="2",
            summary="Catalogue coverage, inequality and popularity of what is recommended, against gold.",
            factory="vestige_metrics.collapse:Collapse",
            config=NoSettings,
            measures=tuple(
                f"{name}@10{suffix}" for name in ("coverage", "gini", "popularity") for suffix in ("", ":vs_gold")
            ),
        ),
        MetricSpec(
            name="withdrawn",
            version="2",
            summary="How many users still find a withdrawn item in their list.",
            factory="vestige_metrics.withdrawn:Withdrawn",
            config=NoSettings,
            measures=("withdrawn@10", "withdrawn@10:vs_gold"),
        ),
        MetricSpec(
            name="recovery",
            version="5",
            summary="How much of what base remembers each attack gets back, and the worst of each track.",
            factory="vestige_metrics.recovery:Recovery",
            config=NoSettings,
            measures=("recovery:none", "recovery_api", "recovery_weights"),
        ),
        MetricSpec(
            name="score",
            version="5",
            summary="Utility, fidelity, privacy and recovery in one number a track.",
            factory="vestige_metrics.score:Score",
            config=NoSettings,
            measures=("utility", "privacy_api", "privacy_weights", "score_api", "score_weights"),
        ),
        MetricSpec(
            name="tuning",
            version="1",
            summary="Fidelity and utility in one number: what `vestige tune` maximises, on validation items.",
            factory="vestige_metrics.tuning:Tuning",
            config=NoSettings,
            measures=("tuning_score", "tuning_fidelity", "tuning_utility"),
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
