import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import link as module
from gateway.core.link import REASONS_KEPT, STATES, Happening, Link


def documented():
    """The table of the docstring."""
    rows = {}
    for line in module.__doc__.splitlines():
        words = line.split()
        if words and words[0] in Happening.__members__ and len(words) == 1 + len(STATES):
            rows[Happening[words[0]]] = words[1:]
    return rows


@pytest.mark.parametrize("happening", Happening)
@pytest.mark.parametrize("state", STATES)
def test_the_table_in_the_docstring_is_the_truth(happening, state):
    link = Link(0.0)
    link.state = state
    told = link.tell(happening, 5.0, "because")
    expected = documented()[happening][STATES.index(state)]
    assert link.state == (state if expected == "-" else expected)
    assert told.changed == (link.state != state)
    assert link.since == (5.0 if told.changed else 0.0)


def test_the_columns_of_the_docstring_are_the_states():
    assert re.search(r"event +" + " +".join(STATES), module.__doc__)


def test_the_first_failure_is_a_warning_its_repeats_are_not():
    link = Link(0.0)
    levels = [link.tell(Happening.FAILED, now, "Nobody there.").level for now in (1.0, 2.0, 3.0)]
    assert levels == [logging.WARNING, logging.DEBUG, logging.DEBUG]
    assert link.tell(Happening.REFUSED, 4.0, "Certificate unknown.").level == logging.WARNING
    assert link.tell(Happening.FAILED, 5.0, "Nobody there.").level == logging.DEBUG
    assert link.tell(Happening.CONNECTED, 6.0).level == logging.INFO
    assert link.tell(Happening.FAILED, 7.0, "Nobody there.").level == logging.WARNING


def test_status_does_not_flicker_between_attempts():
    link = Link(0.0)
    link.tell(Happening.FAILED, 1.0, "Nobody there.", "Switch it on.")
    link.tell(Happening.ATTEMPT, 2.0)
    assert (link.state, link.since, link.reason, link.advice) == ("offline", 1.0, "Nobody there.", "Switch it on.")
    link.tell(Happening.CONNECTED, 3.0)
    assert (link.state, link.since, link.reason, link.advice) == ("online", 3.0, "", "")


@given(st.lists(st.text(min_size=1), unique=True, min_size=REASONS_KEPT * 2, max_size=REASONS_KEPT * 3))
def test_a_peer_with_ever_new_reasons_does_not_flood_the_log(reasons):
    link = Link(0.0)
    levels = [link.tell(Happening.FAILED, 1.0, reason).level for reason in reasons]
    assert levels.count(logging.WARNING) == REASONS_KEPT
