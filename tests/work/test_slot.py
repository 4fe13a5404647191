from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import pytest

from psyflow.work.slot import Answer, Slot, Wish


def mixtures(first: Callable[[Slot], None], then: Callable[[Slot], None]) -> Iterator[Slot]:
    """Yield what is found while something is written after something else, byte for byte."""
    memory = bytearray(Slot.size)
    slot = Slot(memoryview(memory))
    first(slot)
    before = bytes(memory)
    then(slot)
    after = bytes(memory)
    for place in range(Slot.size):
        # Python writes a number from its first byte to its last one, and numbers in their order.
        if before[place] != after[place]:
            yield Slot(memoryview(bytearray(after[:place] + before[place:])))


@pytest.mark.parametrize("number", [1, 2, 255])
def test_half_an_answer_is_none(number: int) -> None:
    def answers(number: int, start: int, stop: int) -> Callable[[Slot], None]:
        return lambda slot: slot.answer(number, Answer.DEALT, start, stop)

    for size, more in product(range(1, 9), repeat=2):
        slots = mixtures(answers(number, 0, size), answers(number + 1, size, size + more))
        assert {slot.answered(number + 1) for slot in slots} == {None}, (size, more)


@pytest.mark.parametrize("number", [1, 2, 255])
def test_half_a_wish_is_none(number: int) -> None:
    def wishes(*wish: int) -> Callable[[Slot], None]:
        return lambda slot: slot.wish(Wish(*wish, 0.1 * wish[0]))

    for most, then in product(range(1, 16), repeat=2):
        slots = mixtures(wishes(number, most, 0), wishes(number + 1, then, 1))
        found = {slot.wished for slot in slots}
        assert found <= {None, Wish(number, most, 0, 0.1 * number)}, (most, then)


@pytest.mark.parametrize(
    "then", [(0, 5.0), (7, 1e5), (300, 1e5), (Slot.IDLE, 0.0), (Slot.ENDED, 0.0)]
)
def test_half_an_item_is_none(then: tuple[int, float]) -> None:
    slot = Slot(memoryview(memory := bytearray(Slot.size)))
    slot.running(*then)
    # Python begins with zeros, wherever it is stopped then.
    found = {
        Slot(memoryview(bytearray(memory[:place].ljust(Slot.size, b"\0")))).read()
        for place in range(17)
    }
    assert found <= {then, (Slot.IDLE, 0.0)}


@pytest.mark.parametrize("number", [1, 2, 255])
def test_half_of_what_is_given_back_is_none(number: int) -> None:
    for n_items, cut in product(range(1, 9), repeat=2):
        slots = mixtures(
            lambda slot: slot.give_back(number, 0, n_items),  # noqa: B023
            lambda slot: slot.give_back(number + 1, cut, cut + n_items),  # noqa: B023
        )
        assert {slot.given_back(number + 1) for slot in slots} == {None}, (n_items, cut)
