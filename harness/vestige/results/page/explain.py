"""One sentence for every column: what it says, and how to read it."""

import re

MEANINGS = (
    (r"hit@(\d+):vs_gold/(\w+)", r"hit@\1 on \2 minus gold's, paired by user; 0 is what retraining gives."),
    (r"ndcg@(\d+):vs_gold/(\w+)", r"ndcg@\1 on \2 minus gold's, paired by user; 0 is what retraining gives."),
    (r"(coverage|gini|popularity)@(\d+):vs_gold/retain", r"\1 minus gold's; 0 is what retraining gives."),
    (r"hit@(\d+)/retain", r"Share of those who stay whose held-out item is among the first \1 of the whole catalogue."),
    (r"ndcg@(\d+)/retain", r"The same, weighed by the place in the list: 1 at the top, 0 below place \1."),
    (r"hit@(\d+)/unseen", r"hit@\1 of users nobody ever trained on."),
    (r"hit@(\d+)/affected", r"hit@\1 of the users whose interactions are forgotten, on their held-out item."),
    (r"hit@(\d+)/forget", r"Share of forgotten training transitions among the first \1; what is still remembered."),
    (r"collateral/neighbours", "hit@10 of the forgotten's neighbours against gold, minus others'; below 0 is damage."),
    (r"withdrawn@(\d+)/retain", r"Share of users who find a withdrawn item among their \1; gold's value is right."),
    (r"fidelity/forget", "0 is base, 1 is as near to gold as another retraining comes."),
    (r"distance/forget", "How far the forgotten transitions' scores are from gold's, in nats."),
    (r"shift/forget", "Their mean score minus gold's; below 0, more is suppressed than never having known would."),
    (r"streisand/forget", "Share of forgotten transitions hidden below where retraining has 95 % of them; 0 is right."),
    (r"jensen_shannon/forget", "Jensen–Shannon divergence of the head of the list from gold's."),
    (r"auc_raw/forget", "Membership by the score alone: ½ tells nothing, far from it on either side gives away."),
    (r"auc_calibrated/forget", "Membership by the score minus another retrained model's; gold's value is the target."),
    (r"auc_learned/forget", "Membership by a trained attack, cross-fitted by user."),
    (r"auc_blackbox/forget", "Membership by ranks and lists alone."),
    (r"auc_shadow/forget", "Membership against shadow models that were trained with and without each user."),
    (r"auc_probe/forget", "Membership read from the model's inner states."),
    (r"auc_swap/forget", "Membership, averaged over the world where forgotten and never-trained users change places."),
    (r"router_auc/forget", "How well the router's own output tells who asked to be forgotten; ½ is right."),
    (r"router_share/(\w+)", r"Share of the queries of \1 that the router sends to the side memory."),
    (r"auc_latency/forget", "How well the time of an answer tells who asked to be forgotten; ½ is right."),
    (r"coverage@(\d+)/retain", "Share of the catalogue that is in anybody's list."),
    (r"gini@(\d+)/retain", "0 where all items are recommended equally often, 1 where one takes all."),
    (r"popularity@(\d+)/retain", "Mean log count of the recommended items."),
    (r"seconds", "Seconds that unlearning took; timings vary from run to run."),
    (r"cost_amortised@(\d+)", r"Time of one of \1 requests as a multiple of retraining's."),
    (r"cost_(\w+)", "As a multiple of retraining's; below 1 is cheaper."),
    (r"utility", "U: how much of what gold has above the popularity list is kept; 1 is all."),
    (r"privacy_(\w+)", r"P: how near membership attacks come to what they find on a retrained model; 1 is right."),
    (r"recovery_(\w+)/forget", "RF: the most that one attack brings back of what base remembers; 0 is right."),
    (r"score_(\w+)", "The harmonic mean of U, FF, P and 1 − RF; read its terms first."),
)  # fmt: skip


def explain(name: str) -> str:
    """What `metric/view` says; empty where nobody has said it."""
    for pattern, meaning in MEANINGS:
        found = re.fullmatch(pattern, name)
        if found:
            return found.expand(meaning)
    return ""
