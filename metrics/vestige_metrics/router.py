"""What a router gives away: a router that spots the forgotten is itself a record of who asked to be forgotten."""

from collections.abc import Iterator

import numpy as np

from vestige.measuring.contract import Context, Measurement, PerUser, measured
from vestige.measuring.statistics import by_user
from vestige_metrics.configs import NoSettings
from vestige_metrics.memory import ASKED, sides
from vestige_metrics.router_quality import quality
from vestige_metrics.telling import FPR_PERCENT, auc, told_by_history, true_positive_rate

SHARES = ("retain", "unseen", "affected", "forget", "unseen_train")


class Router:
    """Measures nothing where the model declares no router."""

    def __init__(self, config: NoSettings) -> None:
        del config

    def measure(self, context: Context) -> Iterator[Measurement]:
        """`router_auc` (½ is right), `router_tpr` (the false-positive rate is right), and `router_share`: how many
        queries of a view go to the side memory. How good it is at its task, see `vestige_metrics.router_quality`. Where
        both of a pair are asked after the same history, only the shares say what the router gives away.
        """
        if context.subject.threshold is None:
            return
        outputs = {
            view: context.scores(context.subject, view).router.astype(np.float64)
            for view in SHARES
            if context.has(view)
        }
        for view, probability in outputs.items():
            routed = (probability >= context.subject.threshold).astype(np.float64)
            users, share = by_user(context.views.users(view), routed)
            own = PerUser(users, share)
            yield measured("router_share", view, context.bootstrap.mean(users, share), "none", per_user=own)
        yield from quality(context, outputs, context.subject.threshold)
        impossible = told_by_history(context)
        if impossible:
            yield measured("router_auc", "forget", None, "0.5", note=impossible)
            return
        told = sides(context, {view: outputs[view] for view in ASKED})
        yield measured("router_auc", "forget", auc(context, told), "0.5")
        for percent in FPR_PERCENT:
            yield true_positive_rate(context, told, percent, f"router_tpr@{percent}%", better="none")
