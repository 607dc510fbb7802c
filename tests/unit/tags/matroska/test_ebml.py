from __future__ import annotations

import io

import pytest

from indexer.tags.matroska.ebml import ELEMENTS_LIMIT, Element, Elements, element_in, integer_in
from indexer.tags.window import Window
from tests.raw_matroska import UNKNOWN, element, vint


def children(content: bytes, end: int | None = None) -> list[Element]:
    elements = Elements(Window(io.BytesIO(content)))
    end = len(content) if end is None else end
    return list(elements.within(Element(0, 0, 0, end, is_sized=True, is_whole=True)))


@pytest.mark.parametrize("width", range(1, 9))
def test_an_integer_of_any_width_is_read(width: int) -> None:
    """RFC 8794, 4.4: 2 may be written as 82, 4002, 200002 and so on."""
    assert integer_in(vint(2, width) + b"x", 0) == (2, width)
    assert integer_in(vint(2, width)[: width - 1], 0) == (0, 0)


def test_no_integer_begins_with_a_zero_byte() -> None:
    assert integer_in(bytes(20), 0) == (0, 0)
    assert children(bytes(100)) == []


def test_an_element_ends_where_it_says_or_with_its_parent() -> None:
    for content, end, is_sized, is_whole in (
        (element(0xEE, b"abc") + b"more", 5, True, True),
        (element(0xEE, b"abc", b"\x90"), 5, True, False),
        (element(0xEE, b"abc", b"\xff"), 5, False, False),
        (element(0xEE, b"abc", UNKNOWN), 12, False, False),
    ):
        one = element_in(content, 0, 1000, 1000 + end)
        assert one is not None
        assert (one.id, one.end - 1000) == (0xEE, end)
        assert (one.is_sized, one.is_whole) == (is_sized, is_whole)


def test_a_header_that_reaches_beyond_its_parent_is_none() -> None:
    assert [one.id for one in children(element(0xEE, b"a") + b"\xee\x80", 4)] == [0xEE]


def test_more_elements_than_any_file_has_are_refused() -> None:
    assert len(children(b"\xee\x80" * ELEMENTS_LIMIT)) == ELEMENTS_LIMIT
    with pytest.raises(ValueError, match="more elements"):
        children(b"\xee\x80" * (ELEMENTS_LIMIT + 1))


def test_values_of_odd_sizes_are_read_as_far_as_they_make_sense() -> None:
    content = element(0xEE) + element(0xEE, b"\1" * 12) + element(0xEE, b"a\0b\xff")
    elements = Elements(Window(io.BytesIO(content)))
    empty, long, text = children(content)
    assert (elements.unsigned(empty), elements.number(empty), elements.text(empty, 9)) == (0, 0, "")
    assert (elements.unsigned(long), elements.number(long)) == (int("01" * 8, 16), 0)
    assert elements.text(text, 9) == "a"
