"""Nothing is lost and nothing counted twice, whatever breaks, and the recovery from each fault comes within its limit.

The faults are those of scripts/faults. Each has a cluster of its own and mostly waits, so several are tried at the same time.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from scripts.testbed import faults_around as _faults_around  # noqa: F401  (adds its own)
from scripts.testbed import faults_naming as _faults_naming  # noqa: F401  (adds its own)
from scripts.testbed import faults_racks as _faults_racks  # noqa: F401  (adds its own)
from scripts.testbed.trial import FAULTS, TrialError

AT_ONCE = 6
LONGEST_FIRST = ("name_of_dead_worker", "worker_stopped_20s", "worker_stopped_6s")


@pytest.fixture(scope="module")
def recoveries(request):
    """name -> the future of its recovery time in seconds, of all faults that are to be tested."""
    tests = [item for item in request.session.items if item.module is request.module]
    wanted = [test.callspec.params["name"] for test in tests if "recoveries" in test.fixturenames]
    wanted.sort(key=lambda name: name not in LONGEST_FIRST)
    pool = ThreadPoolExecutor(AT_ONCE)
    yield {name: pool.submit(FAULTS[name].measure) for name in wanted if not FAULTS[name].why_not()}
    pool.shutdown(cancel_futures=True)


@pytest.mark.timeout(300)  # a machine that stands still has it tried again
@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_lost(name, recoveries):
    if why_not := FAULTS[name].why_not():
        pytest.skip(why_not)
    assert recoveries[name].result(280) <= FAULTS[name].limit_s


def test_a_recovery_that_takes_too_long_is_no_recovery():
    with pytest.raises(TrialError, match="the recovery took .* more than 0.01 s"):
        FAULTS["worker_joins"]._replace(limit_s=0.01).measure()
