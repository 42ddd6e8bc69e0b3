"""Search spaces: what is wrong with one is said when plugins are listed; those that ship are right."""

from pathlib import Path

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT, plugin_package
from vestige import plugins
from vestige.configs import Config
from vestige.pipeline.sampler import STARTUP, Sampler
from vestige.search import Choice, Float, Integer, Search, fault, to_json
from vestige.specs import MethodSpec
from vestige.testing.check import Fault
from vestige.testing.spec import spec_checks

METHODS = plugins.load().all(MethodSpec)
TUNED = {name: spec for name, spec in METHODS.items() if spec.search}


class Knobs(Config):
    rate: float = pydantic.Field(0.1, gt=0, le=1)
    steps: int = pydantic.Field(5, ge=1)
    how: str = pydantic.Field("near", pattern="^(near|far)$")
    needed: int = 0

    @pydantic.field_validator("needed")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even")
        return value


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"raet": Float(0.1, 0.5)}, "search: unknown field 'raet'; did you mean 'rate'?"),
        ({"rate": Float(0.0, 0.5)}, "search: rate: 0.0 is in the space"),
        ({"rate": Float(0.1, 1.5)}, "search: rate: 1.5 is in the space"),
        ({"steps": Integer(0, 4)}, "search: steps: 0 is in the space"),
        ({"steps": Float(1.0, 4.0)}, "valid integer"),
        ({"steps": Float(1.0, 3.0)}, "valid integer"),  # the middle is a whole number
        ({"how": Choice(("near", "wide"))}, "search: how: 'wide' is in the space"),
        ({"needed": Integer(0, 3)}, "must be even"),
        ({"rate": (0.1, 0.5)}, "search: rate: a Float, an Integer or a Choice is needed, not (0.1, 0.5)"),
    ],
)
def test_a_wrong_space_is_one_sentence(search: Search, message: str) -> None:
    said = fault(Knobs, search)
    assert message in said and "\n" not in said


def test_a_right_space_has_no_fault() -> None:
    assert (
        fault(Knobs, {"rate": Float(1e-3, 1.0, log=True), "steps": Integer(1, 9), "how": Choice(("near", "far"))}) == ""
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Float(1.0, 1.0), "low must be less than high"),
        (lambda: Float(0.0, 1.0, log=True), "low must be more than 0"),
        (lambda: Float(0.0, float("inf")), "low must be less than high"),
        (lambda: Integer(1, 2.5), "whole numbers"),  # type: ignore[arg-type]
        (lambda: Choice(("one",)), "two different values or more"),
        (lambda: Choice(("one", "one", "two")), "two different values or more"),
    ],
)
def test_a_space_that_cannot_be_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


SOURCE = """
import pydantic
import vestige
from vestige.search import Float, Integer
from vestige.specs import MethodSpec

class Settings(vestige.Config):
    strength: float = pydantic.Field(0.1, ge=0, le=1)

@vestige.hookimpl
def vestige_methods():
    return [MethodSpec(name="shrink", version="1", summary="Shrinks.", factory="shrink:Shrink", config=Settings,
                       search=SEARCH)]

class Shrink:
    def __init__(self, config):
        self.config = config
"""


@pytest.mark.parametrize(
    ("search", "reason"),
    [
        (
            '{"strong": Float(0.0, 1.0)}',
            "the method 'shrink': search: unknown field 'strong'; did you mean 'strength'?",
        ),
        ('{"strength": Float(0.0, 2.0)}', "the method 'shrink': search: strength: 2.0 is in the space"),
        ('{"strength": Float(2.0, 1.0)}', "low must be less than high"),
    ],
)
def test_a_third_partys_wrong_space_breaks_its_plugin_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, search: str, reason: str
) -> None:
    plugin_package(tmp_path, "shrink", SOURCE.replace("SEARCH", search))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "shrink", raising=False)
    found = plugins.load()
    (broken,) = found.broken
    assert reason in broken.reason
    assert "npo" in found.all(MethodSpec)


def test_the_conformance_suite_says_it_too() -> None:
    spec = MethodSpec(
        name="x", version="1", summary="x", factory="vestige_methods.finetune:Finetune",
        config=METHODS["finetune"].config, search={"share": Float(0.1, 7.0)},
    )  # fmt: skip
    complete = next(check for check in spec_checks(spec, spec.config()) if str(check) == "the spec is complete")
    with pytest.raises(Fault, match=r"7\.0 is in the space"):
        complete()


def test_what_ships_can_be_tuned() -> None:
    """Four knobs at most each, so that eight trials are a budget; the method's own settings are inside, or unset."""
    without = {name for name, spec in METHODS.items() if not spec.search and not spec.control}
    assert without == {"do_nothing", "retrain", "decode_filter"}
    for name, spec in TUNED.items():
        assert len(spec.search) <= 4, name
        assert fault(spec.config, spec.search) == ""
        own = spec.config().model_dump()
        for knob, space in spec.search.items():
            assert own[knob] is None or own[knob] in space, (name, knob)
        for knob, space in to_json(spec.search).items():
            if knob in ("lr", "learning_rate"):
                assert space["log"], name


def test_the_page_shows_the_spaces_as_they_are() -> None:
    page = (ROOT / "docs" / "tuning.md").read_text(encoding="utf-8")

    def text(space: Float | Integer | Choice) -> str:
        if isinstance(space, Choice):
            return " or ".join(f"`{value}`" for value in space.values)
        return f"{space.low:g} to {space.high:g}{' log' if space.log else ''}"

    shown = [line for line in page.splitlines() if line.startswith("| `") and "` " in line]
    wanted = [
        f"| `{name}` | {'; '.join(f'`{knob}` {text(space)}' for knob, space in spec.search.items())} |"
        for name, spec in TUNED.items()
    ]
    assert sorted(shown) == sorted(wanted)


def draws(search: Search, seed: int, count: int, broken: frozenset[int] = frozenset()) -> list[dict[str, object]]:
    """What a sampler asks for, where a larger first knob is better."""
    sampler = Sampler(search, seed)
    first = [sampler.ask() for _ in range(min(count, STARTUP))]
    out = []
    for place in range(count):
        number, values = first[place] if place < len(first) else sampler.ask()
        out.append(values)
        knob = next(iter(values.values()))
        sampler.tell(number, None if place in broken else float(isinstance(knob, int | float) and knob))
    return out


@pytest.mark.parametrize("name", sorted(TUNED))
def test_what_is_asked_for_is_a_setting_of_the_method(name: str) -> None:
    spec = TUNED[name]
    for values in draws(spec.search, 3, 12):
        assert values.keys() == spec.search.keys()
        assert all(values[knob] in space for knob, space in spec.search.items())
        spec.config.model_validate(values)


@given(st.integers(0, 2**31 - 1), st.frozensets(st.integers(0, 9)))
@settings(max_examples=10)
def test_the_seed_says_what_is_tried_and_a_longer_study_begins_as_the_shorter(
    seed: int, broken: frozenset[int]
) -> None:
    search = {"rate": Float(1e-4, 1.0, log=True), "steps": Integer(1, 50), "how": Choice(("near", "far"))}
    long = draws(search, seed, 10, broken)
    assert long == draws(search, seed, 10, broken)
    assert long[:6] == draws(search, seed, 6, broken)
    assert long != draws(search, seed + 1, 10, broken)


def test_it_learns_from_what_it_is_told() -> None:
    """After so many answers it asks where good settings were, which random draws do not."""
    search = {"x": Float(0.0, 1.0)}

    def late(score: float) -> float:
        means = []
        for seed in range(5):
            sampler = Sampler(search, seed)
            asked = []
            for _ in range(25):
                number, values = sampler.ask()
                sampler.tell(number, -score * abs(float(values["x"]) - 0.9))  # type: ignore[arg-type]
                asked.append(float(values["x"]))  # type: ignore[arg-type]
            means.append(sum(asked[15:]) / 10)
        return sum(means) / 5

    assert late(1.0) > 0.75
    assert late(-1.0) < 0.6


def test_own_settings_outside_the_space_are_no_lesson() -> None:
    sampler, other = (Sampler({"x": Float(0.1, 1.0)}, 0) for _ in range(2))
    sampler.add({"x": None}, 0.5)
    sampler.add({"x": 7.0}, 0.9)
    sampler.add({"x": 0.5}, None)
    assert [sampler.ask() for _ in range(3)] == [other.ask() for _ in range(3)]
