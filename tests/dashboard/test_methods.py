"""A placement method is one class: once it is registered, it is in every help, every error text and every list by itself."""

import json
import sys

import pytest

from src.cli.client_options import parse
from src.dashboard import prometheus
from src.dashboard.answers import parsed_stats
from src.dashboard.methods import merged_registry
from src.Scheduler import Scheduler
from src.Scheduler import main as scheduler_main
from src.sparrow.placement import METHODS, method_named
from tests.dashboard.samples import build, method, stats
from tests.support.choose_three import ChooseThree

BUILT_IN = ["RANDOM", "CHOOSE_TWO", "BATCH", "BATCH+LATE_BINDING", "PULL"]
INFO = {"name": "OTHER", "summary": "somewhere", "section": "", "colour": 7, "samples": "nothing", "why": "It went somewhere."}


@pytest.fixture
def choose_three():
    METHODS.register(ChooseThree)
    yield METHODS["CHOOSE_THREE"]
    METHODS.unregister("CHOOSE_THREE")


def printed(capsys, call, status):
    """What a command prints before it ends with this status."""
    with pytest.raises(SystemExit) as ended:
        call()
    assert ended.value.code == status
    output = capsys.readouterr()
    return output.out + output.err


def test_the_client_lists_every_method_with_its_summary(choose_three, capsys):
    lines = [line.split(None, 1) for line in printed(capsys, lambda: parse(["--help"]), 0).splitlines()]
    listed = [line for line in lines if line and line[0] in METHODS]
    assert listed == [[name, METHODS[name].summary] for name in [*BUILT_IN, "CHOOSE_THREE"]]


def test_the_client_takes_it_in_any_case_and_names_it_in_its_errors(choose_three, capsys):
    assert parse(["choose_three", "1", "1", "0"]).method == "CHOOSE_THREE"
    said = printed(capsys, lambda: parse(["CHOOSE_FOUR", "1", "1", "0"]), 2)
    assert f"choose one of {', '.join(BUILT_IN)}, CHOOSE_THREE" in said
    with pytest.raises(ValueError, match=r"choose one of RANDOM, .*, CHOOSE_THREE$"):
        method_named("CHOOSE_FOUR")


def test_a_scheduler_takes_it_and_tells_of_it(choose_three, clusters, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["Scheduler.py", "--help"])
    assert "CHOOSE_THREE" in printed(capsys, scheduler_main, 0)
    cluster = clusters(8)
    with Scheduler("CHOOSE_THREE", cluster.nameserver, 7), cluster.proxy("sparrow.scheduler.7") as scheduler:
        told = scheduler.stats()
        assert told["method"] == "CHOOSE_THREE"
        assert told["registry"] == [*(METHODS[name].to_dict() for name in BUILT_IN), choose_three.to_dict()]
        assert "registry" not in scheduler.stats((), False, True)
        assert parsed_stats(scheduler.stats("[]"))["registry"][-1]["summary"] == choose_three.summary


def test_it_is_gone_once_it_is_unregistered(capsys):
    assert METHODS.names() == BUILT_IN
    assert "CHOOSE_THREE" not in printed(capsys, lambda: parse(["--help"]), 0)


def test_without_schedulers_the_dashboard_shows_what_it_knows_itself(choose_three):
    assert build()["registry"] == [*(METHODS[name].to_dict() for name in BUILT_IN), choose_three.to_dict()]


def test_the_dashboard_shows_what_any_scheduler_knows_the_built_in_ones_first():
    one = stats("s1", registry=[INFO, *METHODS.to_dicts()[2:]])
    two = stats("s2", registry=[{**INFO, "name": "THIRD"}, {**INFO, "summary": "elsewhere"}, *METHODS.to_dicts()[:2]])
    older = stats("s3")
    registry = build(schedulers=[older, one, two])["registry"]
    assert [method["name"] for method in registry] == [*BUILT_IN, "OTHER", "THIRD"]
    assert registry[len(BUILT_IN)] == INFO  # as the first that knows it says
    assert [method["name"] for method in merged_registry({"s3": older})] == BUILT_IN


def test_methods_that_were_used_are_in_the_order_of_the_registry_and_strangers_come_last():
    used = {name: method(1) for name in ("B_STRANGER", "A_STRANGER", "OTHER", "BATCH", "RANDOM")}
    data = build(schedulers=[stats("s1", registry=[INFO, *METHODS.to_dicts()], methods=used)])
    assert list(data["methods"]) == ["RANDOM", "BATCH", "OTHER", "A_STRANGER", "B_STRANGER"]
    lines = prometheus.text(data, {"s1": stats("s1", methods=used)}).splitlines()
    jobs = [line.split('method="')[1].split('"')[0] for line in lines if line.startswith("sparrow_jobs_total{")]
    assert jobs == ["RANDOM", "BATCH", "OTHER", "A_STRANGER", "B_STRANGER"]


@pytest.mark.parametrize(
    "registry",
    [
        7,
        [7],
        ["RANDOM"],
        [{}],
        [{**INFO, "name": 3}],
        [{**INFO, "why": None}],
        [{**INFO, "colour": 0}],
        [{**INFO, "colour": "red"}],
        [{**INFO, "colour": 9}],
        [{key: value for key, value in INFO.items() if key != "summary"}],
    ],
)
def test_a_scheduler_with_a_malformed_registry_is_refused(registry):
    parsed_stats(json.dumps(stats(registry=[INFO])))
    with pytest.raises((TypeError, ValueError)):
        parsed_stats(json.dumps(stats(registry=registry)))
