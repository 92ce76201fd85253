from hypothesis import given
from hypothesis import strategies as st

from conformance.stream import StreamChecker


def follow(numbers: list[int], epoch: str = "e") -> StreamChecker:
    checker = StreamChecker()
    for number in numbers:
        checker.take(epoch, number, b"%d" % number)
    return checker


def test_a_whole_stream_with_repeats_is_complete() -> None:
    report = follow([5, 6, 7, 6, 7, 8]).report()
    assert report.complete
    assert (report.messages, report.repeats) == (4, 2)


def test_a_hole_is_found_and_named() -> None:
    report = follow([1, 2, 5, 6, 9]).report()
    assert report.holes == [("e", 3, 4), ("e", 7, 8)]
    assert not report.complete


def test_a_message_that_comes_late_is_out_of_order() -> None:
    report = follow([1, 3, 2]).report()
    assert report.late == 1
    assert not report.holes
    assert not report.complete


def test_messages_that_came_too_early_and_again_in_their_place_are_no_fault() -> None:
    report = follow([1, 3, 4, 2, 3, 4, 5]).report()
    assert (report.displaced, report.late, report.repeats) == (1, 0, 2)
    assert report.complete


def test_what_came_too_early_and_never_again_is_out_of_order() -> None:
    for numbers in ([1, 3, 4, 2, 3, 5], [1, 3, 4, 3, 4, 2], [1, 4, 2, 4, 3]):
        report = follow(numbers).report()
        assert report.late == 1
        assert not report.complete


def test_a_repeat_with_another_content_is_found() -> None:
    checker = follow([1, 2])
    assert not checker.take("e", 2, b"other")
    assert checker.report().altered == 1


def test_a_new_epoch_starts_anew() -> None:
    checker = follow([8, 9])
    checker.take("f", 1, b"")
    report = checker.report()
    assert report.epochs == ["e", "f"]
    assert report.complete


def test_a_retained_message_of_long_ago_makes_no_hole_at_the_start_of_live_data() -> None:
    checker = StreamChecker()
    assert checker.take("e", 1, b"description", retained=True)
    checker.take("e", 500, b"x")
    checker.take("e", 501, b"y")
    report = checker.report()
    assert report.messages == 2
    assert report.complete


@given(st.lists(st.integers(1, 60), min_size=1, unique=True))
def test_holes_are_exactly_what_is_missing(numbers: list[int]) -> None:
    report = follow(sorted(numbers)).report()
    missing = {n for _, first, last in report.holes for n in range(first, last + 1)}
    assert missing == set(range(min(numbers), max(numbers) + 1)) - set(numbers)


def test_a_hole_that_a_gap_names_is_announced() -> None:
    checker = follow([1, 2, 8, 9, 12])
    checker.gap("evicted", "e", [3, 5])
    checker.gap("evicted", "e", [5, 6])
    checker.gap("evicted", "f", [10, 11])
    checker.gap("connection")
    report = checker.report()
    assert report.announced == [("e", 3, 5), ("e", 6, 6)]
    assert report.holes == [("e", 7, 7), ("e", 10, 11)]
    assert report.gaps == {"evicted": 3, "connection": 1}
    assert not report.complete


def test_a_gap_of_what_has_arrived_says_nothing_of_holes() -> None:
    checker = follow([1, 2, 3, 4])
    checker.gap("evicted", "e", [1, 3])
    assert checker.report().complete
    assert checker.report().announced == []


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=6), st.integers(2, 58), st.integers(2, 58))
def test_every_missing_number_is_announced_or_a_hole(told: list[tuple[int, int]], one: int, other: int) -> None:
    first, last = sorted((one, other))
    checker = follow([*range(1, first), *range(last + 1, 61)])
    ranges = [(min(pair), max(pair)) for pair in told]
    for pair in ranges:
        checker.gap("evicted", "e", pair)
    report = checker.report()
    named = {n for low, high in ranges for n in range(low, high + 1)}
    missing = set(range(first, last + 1))
    assert {n for _, low, high in report.announced for n in range(low, high + 1)} == missing & named
    assert {n for _, low, high in report.holes for n in range(low, high + 1)} == missing - named
