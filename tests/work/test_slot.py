from __future__ import annotations

from collections.abc import Callable, Iterator

from psyflow.work.slot import Answer, Slot, Wish


def mixtures(first: Callable[[Slot], None], then: Callable[[Slot], None]) -> Iterator[Slot]:
    """Yield what is found of what is written after something else, byte for byte."""
    memory = bytearray(Slot.size)
    slot = Slot(memoryview(memory))
    first(slot)
    before = bytes(memory)
    then(slot)
    after = bytes(memory)
    changed = [place for place in range(Slot.size) if before[place] != after[place]]
    for place in changed:
        # Python writes a number from its first byte to its last one, and numbers in their order.
        yield Slot(memoryview(bytearray(after[:place] + before[place:])))


def test_half_an_answer_is_none() -> None:
    for number in range(1, 9):
        for size in range(1, 9):
            for further in range(1, 9):
                answers = (0, size), (size, size + further)
                slots = mixtures(
                    lambda slot: slot.answer(number, Answer.DEALT, *answers[0]),
                    lambda slot: slot.answer(number + 1, Answer.DEALT, *answers[1]),
                )
                found = {slot.answered(number + 1) for slot in slots}
                assert found == {None}, (number, answers)


def test_half_a_wish_is_none() -> None:
    for number in range(1, 9):
        for most in range(1, 9):
            for further in range(1, 16):
                slots = mixtures(
                    lambda slot: slot.wish(Wish(number, most, 0, 0.0)),
                    lambda slot: slot.wish(Wish(number + 1, further, 1, 0.1)),
                )
                wishes = {slot.wished for slot in slots}
                assert wishes <= {None, Wish(number, most, 0, 0.0)}, (number, most, further)
