"""Plugins that break one rule each, and the check that must find it."""

import os
import time
from pathlib import Path

import numpy as np

from vestige.data.interactions import Interactions, from_columns
from vestige.measuring.attacks import Recovered, Told
from vestige.measuring.contract import Measurement
from vestige.methods import Unlearned
from vestige.pipeline.store import cache_root
from vestige.recommenders.contract import FitReport


class Honest:
    def __init__(self, config):
        pass

    def unlearn(self, task):
        return Unlearned(task.recommender)


class ReturnsTheModel(Honest):
    def unlearn(self, task):
        return task.recommender


class RaisesOnInteractions(Honest):
    def unlearn(self, task):
        assert task.kind == "users"
        return Unlearned(task.recommender)


class RaisesOnItems(Honest):
    def unlearn(self, task):
        assert task.kind != "items"
        return Unlearned(task.recommender)


class RaisesOnNothing(Honest):
    def unlearn(self, task):
        return Unlearned(task.recommender, notes={"first": float(task.forget.targets[0])})


class RaisesOnOneUser(Honest):
    def unlearn(self, task):
        assert len(task.forget_sequences) != 1
        return Unlearned(task.recommender)


class ChangesTheTask(Honest):
    def unlearn(self, task):
        task.forget_mask[:] = False
        return Unlearned(task.recommender)


class ChangesTheBase(Honest):
    def unlearn(self, task):
        (base,) = (cache_root() / "store" / "train").glob("*/model.safetensors")
        task.recommender.save(base.parent)
        base.write_bytes(base.read_bytes() + b" ")
        return Unlearned(task.recommender)


class Unseeded(Honest):
    def unlearn(self, task):
        import torch

        with torch.no_grad():
            for weight in task.recommender.module.parameters():
                weight.mul_(1 - 0.1 * np.random.default_rng().random())
        return Unlearned(task.recommender)


class OnlySeedOne(Honest):
    def unlearn(self, task):
        assert task.seed == 1
        return Unlearned(task.recommender)


class Wrapped:
    def __init__(self, inner):
        self.inner = inner

    def score(self, histories):
        return self.inner.score(histories)

    def save(self, folder):
        self.inner.save(folder)


class Masks(Wrapped):
    def score(self, histories):
        scores = self.inner.score(histories)
        scores[:, 0] = -np.inf
        return scores


class Logits(Wrapped):
    def score(self, histories):
        return self.inner.score(histories) + 1


class Narrow(Wrapped):
    def score(self, histories):
        return self.inner.score(histories)[:, :-1]


class Flat(Wrapped):
    def score(self, histories):
        scores = self.inner.score(histories)
        return np.full_like(scores, -np.log(scores.shape[1]))


class Code(Wrapped):
    def save(self, folder):
        self.inner.save(folder)
        (folder / "weights.bin").write_bytes(b"\x80\x04.")


class MasksItems(Honest):
    def unlearn(self, task):
        return Unlearned(Masks(task.recommender))


class GivesLogits(Honest):
    def unlearn(self, task):
        return Unlearned(Logits(task.recommender))


class LeavesItemsOut(Honest):
    def unlearn(self, task):
        return Unlearned(Narrow(task.recommender))


class SavesTheBase(Honest):
    """Answers otherwise than what it saves."""

    def unlearn(self, task):
        return Unlearned(Flat(task.recommender))


class SavesCode(Honest):
    def unlearn(self, task):
        return Unlearned(Code(task.recommender))


class DividesByTime(Honest):
    def unlearn(self, task):
        return Unlearned(task.recommender, notes={"share": 1 / task.budget.seconds})


class TakesThreads(Honest):
    def unlearn(self, task):
        import torch

        torch.set_num_threads(torch.get_num_threads() + 1)
        return Unlearned(task.recommender)


class SaysPerCent(Honest):
    def unlearn(self, task):
        task.progress(100.0)
        return Unlearned(task.recommender)


class CostsLessThanNothing(Honest):
    def unlearn(self, task):
        return Unlearned(task.recommender, setup_seconds=1e9)


class NotesText(Honest):
    def unlearn(self, task):
        return Unlearned(task.recommender, notes={"state": "fine"})


class LooksAhead(Honest):
    """Trains on what it finds in the store: everything, test items included."""

    def unlearn(self, task):
        import pyarrow.parquet as pq

        from vestige.data.request import select

        (file,) = (cache_root() / "store" / "data").glob("*/interactions.parquet")
        columns = {name: column.to_numpy() for name, column in zip("uirt", pq.read_table(file).columns, strict=True)}
        names = np.asarray(task.catalogue.item_ids), np.arange(int(columns["u"].max()) + 1).astype(str)
        data = Interactions(columns["u"], columns["i"], columns["r"], columns["t"], names[1], names[0], {})
        task.recommender.train_on(select(data, np.ones(len(data), bool)), 1, task.seed, task.progress)
        return Unlearned(task.recommender)


METHODS = {
    "ReturnsTheModel": ("forgets whole users", "returned a T5Recommender"),
    "RaisesOnInteractions": ("forgets single interactions, or refuses them in a sentence", "AssertionError"),
    "RaisesOnItems": ("forgets withdrawn items, or refuses them in a sentence", "AssertionError"),
    "RaisesOnNothing": ("answers an empty request, or refuses it in a sentence", "IndexError"),
    "RaisesOnOneUser": ("answers a request of one user", "AssertionError"),
    "ChangesTheTask": ("leaves the base and the task as they were", "task.forget_mask"),
    "ChangesTheBase": ("leaves the base and the task as they were", "the stored base"),
    "Unseeded": ("same seed, same scores", "draw every random number from `task.seed`"),
    "OnlySeedOne": ("takes any seed", "AssertionError"),
    "MasksItems": ("scores the whole catalogue, log-softmax normalised", "not finite"),
    "GivesLogits": ("scores the whole catalogue, log-softmax normalised", "sum to 2.718"),
    "LeavesItemsOut": ("scores the whole catalogue, log-softmax normalised", "39"),
    "SavesTheBase": ("saves and loads to the same scores", "save everything"),
    "SavesCode": ("saves and loads to the same scores", "weights.bin"),
    "DividesByTime": ("stays on its device, whatever the budget", "ZeroDivisionError"),
    "TakesThreads": ("stays on its device, whatever the budget", "number of torch's threads"),
    "SaysPerCent": ("stays on its device, whatever the budget", "progress"),
    "CostsLessThanNothing": ("accounts for its cost", "setup_seconds"),
    "NotesText": ("accounts for its cost", "'state'"),
    "LooksAhead": ("never sees test data", "use nothing but the task"),
}


class OwnBase(Honest):
    def recommender(self, maker):
        return maker.fresh()

    def load_recommender(self, folder, maker):
        return maker.load(folder)


class BringsNothing(Honest):
    pass


class TrainsByChance(OwnBase):
    def recommender(self, maker):
        model = maker.fresh()
        fit = model.fit
        model.fit = lambda sequences, seed, progress: fit(sequences, int.from_bytes(os.urandom(3), "big"), progress)
        return model


class LosesItsBase(OwnBase):
    def load_recommender(self, folder, maker):
        return maker.fresh()


OWN_BASES = {
    "BringsNothing": ("brings a recommender of its own", "no `recommender(maker)`"),
    "TrainsByChance": ("trains its own base, same seed, same scores", "the seed that `fit` is given"),
    "LosesItsBase": ("saves and loads its own base to the same scores", "read it in `load_recommender`"),
}


class ClaimsToRetrain(Honest):
    pass


GOLDS = {"ClaimsToRetrain": ("is retraining, as its spec says", "leave same_as out of the spec")}


class Shop:
    def __init__(self, config, cache):
        pass

    def fingerprint(self):
        return {}

    def is_local(self):
        return True

    def fetch(self, progress):
        pass

    def load(self):
        rng = np.random.default_rng(self.seed())
        users = np.repeat(np.arange(10), 5)
        return from_columns(users, rng.integers(0, 20, 50), None, self.times(rng), "shop")

    def seed(self):
        return 0

    def times(self, rng):
        return np.arange(50)


class Restless(Shop):
    def seed(self):
        return time.time_ns()


class Unsorted(Shop):
    def load(self):
        data = super().load()
        order = np.arange(len(data))[::-1]
        return Interactions(
            data.user[order],
            data.item[order],
            data.rating,
            data.timestamp[order],
            data.user_ids,
            data.item_ids,
            {},
        )


class Absolute(Shop):
    def fingerprint(self):
        return {"file": os.path.abspath("shop.tsv")}  # noqa: PTH100


class NeverHere(Shop):
    def is_local(self):
        return False


DATASETS = {
    "Restless": ("loads twice to the same content", "other interactions"),
    "Unsorted": ("is sorted by user and time", "from_columns"),
    "Absolute": ("says what identifies its source", "holds the path"),
    "NeverHere": ("is here once it is fetched", "`is_local` is False"),
}


class Uniform:
    reach: int | None = None

    def __init__(self, config, catalogue, device):
        self.logits = np.zeros(len(catalogue))

    def fit(self, sequences, seed, progress):
        self.learn(sequences, seed)
        return FitReport(passes=1, steps=1, loss=0.0)

    def learn(self, sequences, seed):
        self.logits = np.bincount(sequences.items, minlength=len(self.logits)).astype(float)

    def score(self, histories):
        row = self.logits - np.log(np.exp(self.logits).sum())
        return np.tile(row.astype(np.float32), (len(histories), 1))

    def save(self, folder):
        np.savetxt(folder / "logits.txt", self.logits)

    @classmethod
    def load(cls, folder, config, catalogue, device):
        model = cls(config, catalogue, device)
        model.logits = np.loadtxt(folder / "logits.txt")
        return model


class GoesOn(Uniform):
    def learn(self, sequences, seed):
        self.logits = self.logits + np.bincount(sequences.items, minlength=len(self.logits))


class Moody(Uniform):
    def learn(self, sequences, seed):
        self.logits = np.random.default_rng().normal(size=len(self.logits))


class Forgetful(Uniform):
    def save(self, folder):
        (folder / "empty.json").write_text("{}")

    @classmethod
    def load(cls, folder, config, catalogue, device):
        return cls(config, catalogue, device)


class NeedsHistory(Uniform):
    def score(self, histories):
        assert (histories.lengths < 100).all()
        return super().score(histories)


class Unreachable(Uniform):
    reach = 0


RECOMMENDERS = {
    "GoesOn": ("trains from scratch", "new weights"),
    "Moody": ("equal arguments, equal scores", "from `seed`"),
    "Forgetful": ("saves and loads to the same scores", "save everything"),
    "NeedsHistory": ("answers short and long histories, and items nobody trained on", "AssertionError"),
    "Unreachable": ("says how far training reaches, and what it took", "`reach` is 0"),
}


class Constant:
    def __init__(self, config):
        pass

    def measure(self, context):
        yield Measurement(self.name(), "", self.value(context), self.bounds())

    def name(self):
        return "constant"

    def value(self, context):
        return 0.5

    def bounds(self):
        return (0.4, 0.6)


class Unnamed(Constant):
    def name(self):
        return "nameless"


class NotANumber(Constant):
    def value(self, context):
        return float("nan")


class Outside(Constant):
    def bounds(self):
        return (0.6, 0.7)


class FirstOnly(Constant):
    """Looks at whoever stands first."""

    def bounds(self):
        return None

    def value(self, context):
        return float(context.scores(context.subject, "retain").log_prob[0])


class Dice(Constant):
    def bounds(self):
        return None

    def value(self, context):
        return float(np.random.default_rng().random())


class Loaded(Dice):
    """Keeps what it drew as work that several metrics share."""

    def value(self, context):
        return context.once("drawn", lambda: super(Loaded, self).value(context))


class Spoiler(Constant):
    """Makes room in scores that others will read."""

    def value(self, context):
        context.roles["gold"].scores["forget"].log_prob[:] = 0
        return 0.5


METRICS = {
    "Unnamed": ("yields only what it names in `measures`", "'nameless'"),
    "NotANumber": ("measures a cell", "is nan"),
    "Outside": ("measures a cell", "outside its interval"),
    "FirstOnly": ("the same whatever the order of users", "another order"),
    "Spoiler": ("leaves the cell as it was", "it changed context.roles"),
    "Dice": ("the same at every run", "context.seed"),
    "Loaded": ("the same at every run", "context.seed"),
}


class Plain:
    def __init__(self, config):
        pass

    def attack(self, target):
        yield Recovered("plain", target.hits())


class Another(Plain):
    def attack(self, target):
        yield Recovered("other", target.hits())


class Short(Plain):
    def attack(self, target):
        yield Recovered("plain", target.hits()[1:])


class Spoils(Plain):
    def attack(self, target):
        target.data.item[:] = 0
        yield Recovered("plain", target.hits())


class Guesses(Plain):
    def attack(self, target):
        rng = np.random.default_rng()
        yield Told("told", *(rng.random(len(target.queries(view))) for view in ("forget", "unseen_train")))


class NeedsWeights(Plain):
    def attack(self, target):
        target.model.module.eval()
        yield Recovered("plain", target.hits())


ATTACKS = {
    "Another": ("brings back only what it names", "'other'"),
    "Short": ("fits the queries it is about", "hits of shape"),
    "Spoils": ("leaves the base and the data as they were", "the data"),
    "Guesses": ("the same at every run, but for what varies", "target.seed"),
    "NeedsWeights": ("says nothing, or asks plainly, where the model is a closed box", "AttributeError"),
}


def writes(results, folder):
    path = folder / "table.txt"
    path.write_text("\n".join(results.labels))
    return path


def returns_nothing(results, folder):
    writes(results, folder)


def writes_the_time(results, folder):
    path = writes(results, folder)
    path.write_text(str(time.time_ns()))
    return path


def overwrites(results, folder):
    (folder / "board.json").write_text("mine")
    return writes(results, folder)


def needs_gold(results, folder):
    assert "retrain" in results.labels
    return writes(results, folder)


def writes_elsewhere(results, folder):
    return writes(results, Path(folder).parent)


RENDERERS = {
    "returns_nothing": ("writes a file into the folder and says which", "it returned None"),
    "writes_the_time": ("the same at every run", "time or chance"),
    "overwrites": ("touches no other file", "file of the run"),
    "needs_gold": ("writes a board of one row", "AssertionError"),
    "writes_elsewhere": ("writes a file into the folder and says which", "no file in the folder"),
}
