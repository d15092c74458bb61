"""The parser of payloads: it reads what serpent writes, and nothing else takes more than a moment or much memory."""

import contextlib
import random
import re
import time
import tracemalloc

import Pyro4
import pytest
import serpent
from hypothesis import given
from hypothesis import strategies as st

from src.rmi.serializer import Serpent
from src.rmi.settings import ParsingLimits, WireLimits

HEAD = b"# serpent utf-8 python3.2\n"
SLOWEST_S = 0.5  # ten times what was measured on a quiet machine: what is quadratic takes minutes
MOST_MB = 130.0
ALIKE = 2**61 - 1  # the hashes of its multiples are all 0

ours = Serpent(WireLimits())
texts = st.text() | st.text(alphabet="ab'\"\\\n\r\t[]{}é\x00\x1f,():\U0001f600ÿ", max_size=200)
numbers = st.integers(-(10**24) + 1, 10**24) | st.floats(allow_nan=False)
plain = texts | numbers | st.booleans() | st.none()
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(texts.filter(lambda key: key != "__class__"), inner)
        | st.sets(texts)
    ),
    max_leaves=40,
)


def read(text):
    return ours.loads(HEAD + text)


@given(values)
def test_what_serpent_writes_is_read_as_serpent_reads_it(value):
    data = serpent.dumps(value)
    found, expected = ours.loads(data), serpent.loads(data)
    assert (found, repr(found)) == (expected, repr(expected)) or isinstance(value, (set, dict, list, tuple)) and found == expected


@given(values)
def test_what_is_written_with_spaces_is_read_too(value):
    data = serpent.dumps(value, indent=True)
    if b"set(" not in data:
        assert ours.loads(data) == serpent.loads(data)


@given(st.text(alphabet="'\"\\[](){},:1e-.x \nuU0dFTrue#b_+*", max_size=40))
def test_what_is_read_at_all_is_what_python_reads(text):
    try:
        found = read(text.encode())
    except ValueError:
        return
    assert found == serpent.loads(HEAD + text.encode())


def test_bytes_uris_errors_and_no_number_are_read():
    for value in (Pyro4.URI("PYRO:a@127.0.0.1:1"), ValueError("a", 1), Pyro4.errors.NamingError("no"), b"\0\xff"):
        data = ours.dumps(value)
        found, expected = ours.loads(data), Pyro4.util.SerpentSerializer().loads(data)
        assert (type(found), str(found)) == (type(expected), str(expected))
    assert read(b"{'__class__':'float','value':'nan'}") != 0


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"",
            b"''1",
            b"1 2",
            b"1,,2",
            b"(1)",
            b"[1,,2]",
            b"[,]",
            b"[1",
            b"]",
            b"[1)",
            b"{'a'}}",
            b"{'a':}",
            b"{:1}",
            b"{'a' 1}",
        ),
        *(
            b"{'a','b':1}",
            b"{'a':1,'b'}",
            b"{'a':1:2}",
            b"{'a':'b':'c'}",
            b"['a':1]",
            b"{1:2}",
            b"{1,2}",
            b"{(1,2)}",
            b"{True}",
            b"{None:1}",
        ),
        *(
            b"b'a'",
            b"u'a'",
            b"f'{1}'",
            b"'a' 'b'",
            b"1+1",
            b"1j",
            b"0x10",
            b"01",
            b"1_0",
            b"+1",
            b"--1",
            b"1.",
            b".5",
            b"nan",
            b"inf",
            b"...",
        ),
        *(
            b"'\\N{BULLET}'",
            b"'\\0'",
            b"'\\q'",
            b"'\\ud800'",
            b"'\\U0000d800'",
            b"'\\U00110000'",
            b"'\\x4'",
            b"'a\\'",
            b"'a\0b'",
            b"'\xff'",
        ),
        *(
            b"__import__('os')",
            b"a.b",
            b"lambda:0",
            b"# a\n1",
            b"[x for x in 'a']",
            b"{**{}}",
            b"{'__class__':'Pyro4.core.Proxy','state':()}",
        ),
        *(
            b"{'__class__':'Pyro4.core.Daemon','args':()}",
            b"{'__class__':['a']}",
            b"{'__class__':'a'}",
            b"{'__class__':'a__b','args':()}",
        ),
        b"{'__class__':'Pyro4.util.PickleSerializer'}",
        b"{'__class__':'builtins.ValueError','__exception__':True,'args':(),'attributes':{'__traceback__':1}}",
    ],
)
def test_nothing_else_is_read(text):
    with pytest.raises((ValueError, Pyro4.errors.PyroError)):
        read(b"[" + text + b"]" if text else text)


def test_the_first_line_has_to_say_that_it_is_serpent():
    assert ours.loads(b"# serpent utf-8 python2.6\n'a\"'") == 'a"'
    for data in (b"'a\"'", b"#serpent\n1.5", b""):
        with pytest.raises(ValueError, match="first line"):
            ours.loads(data)


# What is hostile


def alike(count):
    return [ALIKE * factor for factor in range(count)]


M = 2**20
HOSTILE = {
    "a set of numbers that hash alike": b"{" + b",".join(b"%d" % one for one in alike(15_000)) + b"}",
    "a dict of such keys": b"{" + b",".join(b"%d:1" % one for one in alike(15_000)) + b"}",
    "such keys in tuples": b"{" + b",".join(b"(%d,):1" % one for one in alike(15_000)) + b"}",
    "numbers of 4,000 digits": b"[" + b",".join([b"9" * 4000] * 3000) + b"]",
    "a number of 15 million digits": b"9" * (15 * M),
    "a float of 15 million digits": b"1." + b"9" * (15 * M),
    "numbers of 39 digits": b"[" + b",".join([b"9" * 39] * 400_000) + b"]",
    "floats of 40 digits": b"[" + b",".join([b"1.%038d" % (10**37 + one) for one in range(149_000)]) + b"]",
    "millions of numbers": b"[" + b"1," * (7 * M) + b"1]",
    "millions of lists": b"[" + b"[]," * (5 * M) + b"1]",
    "millions of texts": b"[" + b"''," * (5 * M) + b"1]",
    "millions of names": b"[" + b"None," * (3 * M) + b"1]",
    "millions of spaces": b"[1" + b" " * (15 * M) + b"]",
    "nothing but spaces": b" " * (15 * M),
    "deep lists": b"[" * (15 * M),
    "deep dicts": b"{'a':" * (3 * M),
    "a text without an end": b"'" + b"a" * (15 * M),
    "quotes": b"'\"" * (7 * M),
    "escaped quotes": b"'" + b"\\'" * (7 * M) + b"'",
    "escapes": b"'" + b"\\x41" * (3 * M) + b"'",
    "some escapes in a long text": b"'" + (b"a" * 30 + b"\\n") * 240_000 + b"'",
    "texts with escapes": b"[" + b"'\\n'," * 50_000 + b"1]",
    "the widest characters": b"'" + "\U0001f600".encode() * (4 * M - 30) + b"'",
    "one wide character": b"'" + b"a" * (15 * M) + "\U0001f600".encode() + b"'",
    "one wide character in what is still read": b"['" + b"a" * (2 * M - 200) + "\U0001f600','".encode() + b"a" * 99 + b"']",
    "a bad byte at the end": b"'" + b"a" * (15 * M) + b"\xff'",
    "objects": b"[" + b"{'__class__':'float','value':'nan'}," * 400_000 + b"1]",
    "errors of errors": b"{'__class__':'ValueError','args':(" * 200_000,
    "what Python's parser is slow at": b"-" * (10 * M) + b"1",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_text_takes_long_or_much_memory(text):
    data = HEAD + text
    began = time.thread_time()
    outcome = attempt(data)
    assert time.thread_time() - began < SLOWEST_S
    tracemalloc.start()
    attempt(data)
    assert tracemalloc.get_traced_memory()[1] / M < MOST_MB
    tracemalloc.stop()
    assert len(outcome) < 300  # an error does not say back what was sent


def attempt(data):
    try:
        ours.loads(data)
    except Exception as error:
        return f"{error!r}"
    return ""


LONG = b"a" * (15 * M)
ALMOST_FREQUENT = {
    "one text": b"('a','b',('" + LONG + b"',),{})",
    "a last text without an end": b"('a','b',('c','d','" + LONG,
    "a last text with a quote": b"('a','b',('c','d','" + LONG + b"'a'),{})",
}


@pytest.mark.parametrize("text", ALMOST_FREQUENT.values(), ids=ALMOST_FREQUENT.keys())
def test_a_call_that_is_almost_of_the_frequent_form_takes_no_longer(text):
    began = time.thread_time()
    with contextlib.suppress(ValueError):
        assert len(max(ours.loadsCall(HEAD + text)[2], key=len)) == len(LONG)
    assert time.thread_time() - began < 0.15  # 0.02 to 0.04 was measured; 0.3 if an expression goes back over the text


def test_keys_and_elements_are_texts_whose_hashes_nobody_knows():
    with pytest.raises(ValueError, match="a set of what is no text"):
        read(b"{'a',('b',)}")
    for text in (b"{1:2}", b"{1.5:2}", b"{():2}", b"{None:2}"):
        with pytest.raises(ValueError, match="a key that is no text|no number"):
            read(text)


@pytest.mark.parametrize(
    ("limits", "text", "said"),
    [
        (ParsingLimits(max_tokens=5), b"['a','b','c','d']", "too many values"),
        (ParsingLimits(max_numbers=3), b"[1,2,3,4]", "too many values"),
        (ParsingLimits(max_number_characters=3), b"[1234]", "more than 3 characters"),
        (ParsingLimits(max_depth=2), b"[[[1]]]", "nested too deeply"),
        (ParsingLimits(max_escapes=1), b"'\\n\\n'", "more than 1 backslashes"),
        (ParsingLimits(max_escaped_bytes=5), b"'\\naaaaaa'", "more than 5 bytes must not contain a backslash"),
        (ParsingLimits(max_beyond_ascii_bytes=5), "'é aaaa'".encode(), "more than 5 bytes has to be ASCII"),
    ],
)
def test_the_limits_are_those_of_the_settings(limits, text, said):
    assert read(text) is not None
    with pytest.raises(ValueError, match=said):
        Serpent(WireLimits(limits)).loads(HEAD + text)


def test_any_bytes_at_all_end_in_a_value_or_an_error_of_two_kinds():
    rng = random.Random(3)
    pieces = re.findall(
        rb"[\w.-]+|.", b"('a',{'b':[1,-2.5e3,None,\"c\\\\\",True]},'\\x1f\\u00e9',{'__class__':'float','value':'nan'})"
    )
    for _ in range(5_000):
        text = b"".join(rng.choices(pieces, k=rng.randrange(12)))
        with contextlib.suppress(ValueError, Pyro4.errors.PyroError):
            read(text)
