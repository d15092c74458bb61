"""JSON text of others is read as Python reads it, except for numbers that take long."""

import json
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.sparrow import messages as m
from src.sparrow import taskcolumns
from src.sparrow.jobspec import JobSpec
from src.sparrow.jsontext import MAX_CHARACTERS, read_json
from src.sparrow.schema import parse_json

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values, st.booleans(), st.booleans())
def test_what_python_writes_is_read(value, ascii_only, long_text):
    value = [value, "0123456789" * 5] if long_text else value  # a text that looks like a long number is none
    assert read_json(json.dumps(value, ensure_ascii=ascii_only)) == value


@pytest.mark.parametrize("number", [sys.float_info.min, 5e-324, -sys.float_info.max, -2.2250738585072014e-308, 2**64, -(10**23)])
def test_the_longest_numbers_that_programs_write_are_read(number):
    assert len(json.dumps(number)) <= MAX_CHARACTERS
    assert read_json(json.dumps([number, "0" * 50])) == [number, "0" * 50]


NUMBERS = ("1" * 26, "-" + "1" * 25, "0." + "1" * 24, "1." + "1" * 20 + "e-10", "1e" + "0" * 24, "9" * 5_000, "9" * 1_000_000)


@pytest.mark.parametrize("number", NUMBERS, ids=len)
def test_a_longer_number_is_refused_wherever_text_comes_from_others(number):
    text = f'[["Launch","job",0,1,{number}]]'
    for read in (
        read_json,
        lambda text: m.decode(text, {"Launch"}),
        lambda text: parse_json(text, 2_000_000, 100),
        lambda text: next(taskcolumns.decode(text, JobSpec("job", (0.0,), "BATCH", True))),
        JobSpec.decode,
    ):
        with pytest.raises(ValueError, match=f"a number of {len(number):,} characters, where 25 are allowed"):
            read(text)


@pytest.mark.parametrize("text", ["", "[", "1" * 26 + "x", "[" * 200_000, '{"a":' * 200_000], ids=lambda text: text[:30])
def test_what_is_no_json_is_one_kind_of_error(text):
    with pytest.raises(ValueError, match="."):
        read_json(text)


def test_text_that_is_not_unicode_is_read():
    assert read_json('["\ud800"]') == ["\ud800"]


HARD = {
    "floats in the middle between two doubles": "1.00000000000000011102230246251565404236316680908203125" + "0" * 5,
    "whole numbers of 4,300 digits": "9" * 4_300,
}


@pytest.mark.parametrize("number", HARD.values(), ids=HARD.keys())
def test_numbers_that_are_hard_to_read_are_not_read(number):
    def took_s(read):
        began = time.process_time()
        read()
        return time.process_time() - began

    def refused():
        with pytest.raises(ValueError, match="characters, where"):
            m.parsed(text)

    text = "[" + ",".join([number] * min(249_000, 15_900_000 // len(number))) + "]"
    plain_s = min(took_s(lambda: json.loads(text)) for _ in range(3))
    assert min(took_s(refused) for _ in range(3)) < plain_s / 2
