"""Lanes keep the order of a machine, are fair among machines, and their cursor is never beyond what is delivered."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.lanes import Lanes, Mood


class Floor:
    """A sink and a store around the lanes, driven by a test; keeps what a broker has taken, by machine."""

    def __init__(self, cursor=0):
        self.lanes = Lanes(cursor, random.Random(1), first=1.0, longest=8.0, stable=30.0)
        self.stored = {}
        self.flight = []
        self.taken = {}
        self.now = 0.0
        self.last = cursor

    def store(self, machine):
        self.last += 1
        self.stored.setdefault(machine, []).append(self.last)
        self.lanes.grown(machine, self.last)

    def send(self, most=10**6):
        """One turn; the lane's machine, or None."""
        lane = self.lanes.next(self.now)
        if lane is None:
            return None
        wanted = 1 if lane.mood is Mood.TRYING else min(most, self.lanes.turn())
        ids = [message for message in self.stored[lane.machine] if message > lane.after][:wanted]
        if ids:
            self.lanes.sent(lane, ids)
            self.flight += [(lane.machine, message) for message in ids]
        else:
            self.lanes.nothing_left(lane)
        self.lanes.back(lane)
        return lane.machine

    def answer(self, index=0, refuse=False):
        machine, message = self.flight.pop(index)
        if refuse:
            self.lanes.refused(message, f"t/{machine}", "no", self.now)
        else:
            self.taken.setdefault(machine, []).append(message)
            self.lanes.took(message, self.now)

    def delivered(self, machine):
        return set(self.taken.get(machine, ()))


def test_turns_go_round_and_a_machine_without_backlog_is_soon_served():
    floor = Floor()
    for _ in range(5000):
        floor.store("A")
    for _ in range(5000):
        floor.store("B")
    assert [floor.send() for _ in range(4)] == ["A", "B", "A", "B"]
    floor.store("C")
    before = len(floor.flight)
    while "C" not in {machine for machine, _ in floor.flight}:
        floor.send()
    assert len(floor.flight) - before <= 256


def test_a_refused_lane_rests_and_the_others_go_on():
    floor = Floor()
    for _ in range(10):
        floor.store("A")
        floor.store("B")
    floor.send()
    floor.send()
    floor.answer(0, refuse=True)
    while floor.flight:
        floor.answer()
    assert floor.delivered("B") == set(floor.stored["B"])
    assert floor.lanes.cursor == 0
    (held,) = floor.lanes.held
    assert (held.machine, held.refusal, held.mood) == ("A", ("t/A", "no"), Mood.WAITING)
    assert floor.lanes.settled
    assert floor.send() is None
    floor.store("B")
    assert floor.send() == "B"
    floor.answer()
    floor.now += floor.lanes.wait(floor.now)
    assert floor.send() == "A"
    assert floor.flight == [("A", 1)]
    assert floor.send() is None
    floor.answer()
    assert not floor.lanes.held
    floor.send()
    assert [message for _, message in floor.flight] == floor.stored["A"][1:]
    while floor.flight:
        floor.answer()
    assert floor.lanes.cursor == floor.last


def test_the_delay_grows_with_each_refusal():
    floor = Floor()
    floor.store("A")
    waits = []
    for _ in range(12):
        assert floor.send() == "A"
        floor.answer(refuse=True)
        waits.append(floor.lanes.wait(floor.now))
        floor.now += waits[-1]
    assert max(waits) > 2.0
    assert max(waits) <= 8.0


def test_what_was_evicted_holds_nothing_up():
    floor = Floor()
    floor.store("A")
    floor.store("B")
    floor.stored["A"] = []
    assert floor.send() == "A"
    assert floor.send() == "B"
    floor.answer()
    assert floor.lanes.cursor == 2


def test_a_description_is_sent_first_and_again_after_a_refusal():
    lanes = Lanes(5, random.Random(1), first=1.0, longest=8.0, stable=30.0)
    lanes.open("A", 5, 5, describe=True)
    lanes.settle()
    lane = lanes.next(0.0)
    assert lane.describe
    lanes.described(lane, 3)
    lanes.back(lane)
    assert not lanes.settled
    lanes.refused(3, "t", "no", 0.0)
    assert lanes.next(0.0) is None
    again = lanes.next(lanes.wait(0.0))
    assert again is lane
    assert lane.describe
    lanes.described(lane, 3)
    lanes.took(3, 9.0)
    assert lanes.settled
    assert lanes.cursor == 5


def test_lanes_that_are_ahead_begin_at_their_positions():
    lanes = Lanes(10, random.Random(1), first=1.0, longest=8.0, stable=30.0)
    lanes.open("A", 10, 900)
    lanes.open("B", 950, 1000)
    lanes.open("C", 1000, 1000)
    lanes.settle()
    assert lanes.cursor == 10
    first, second = lanes.next(0.0), lanes.next(0.0)
    assert (first.machine, first.after) == ("A", 10)
    assert (second.machine, second.after) == ("B", 950)
    assert lanes.next(0.0) is None


def test_words_about_unknown_messages_change_nothing():
    floor = Floor()
    floor.store("A")
    assert floor.lanes.took(77, 0.0) is None
    assert floor.lanes.refused(77, "t", "r", 0.0) is None
    assert floor.lanes.cursor == 0


actions = st.lists(st.tuples(st.sampled_from(["store", "send", "answer", "refuse", "time"]), st.integers(0, 10**6)))


@settings(max_examples=300)
@given(actions, st.integers(1, 6))
def test_whatever_happens_order_is_kept_and_the_cursor_tells_the_truth(script, most):
    floor = Floor()
    run(floor, script, most)
    finish(floor, most)
    assert floor.lanes.cursor == floor.last
    assert floor.lanes.settled
    for machine, ids in floor.stored.items():
        assert sorted(set(floor.taken[machine])) == ids


def run(floor, script, most):
    for action, number in script:
        if action == "store":
            floor.store("ABCD"[number % 4])
        elif action == "send":
            floor.send(most)
        elif action == "time":
            floor.now += number % 10
        elif floor.flight:
            floor.answer(number % len(floor.flight), refuse=action == "refuse")
        everything = {message for machine in floor.taken for message in floor.taken[machine]}
        assert set(range(1, floor.lanes.cursor + 1)) <= everything
        for lane in floor.lanes._lanes.values():
            due = {message for message in floor.stored[lane.machine] if message <= lane.window.cursor}
            assert due <= floor.delivered(lane.machine)


def finish(floor, most):
    for _ in range(10**4):
        if floor.flight:
            floor.answer()
        elif floor.send(most) is None:
            wait = floor.lanes.wait(floor.now)
            if wait is None:
                break
            floor.now += wait
