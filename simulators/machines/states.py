"""State machines of the standards with their transitions; anything else is a fault of the model."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.machine import State

PRODUCTION_STATES = {"Initializing": 0, "Running": 1, "Ended": 2, "Interrupted": 3, "Aborted": 4}
"""OPC 40501-1, ProductionStateMachineType: StateNumber by name."""

PRODUCTION_TRANSITIONS = {
    ("Initializing", "Running"): 0,
    ("Running", "Ended"): 1,
    ("Ended", "Initializing"): 2,
    ("Running", "Running"): 3,
    ("Running", "Interrupted"): 4,
    ("Interrupted", "Running"): 5,
    ("Running", "Aborted"): 6,
    ("Interrupted", "Aborted"): 7,
    ("Aborted", "Initializing"): 8,
    ("Initializing", "Aborted"): 9,
}
"""OPC 40501-1, ProductionStateMachineType: TransitionNumber by both states."""

ITEM_STATES = {"NotAvailable": 0, "OutOfService": 1, "NotExecuting": 2, "Executing": 3}
"""OPC 40001-1, MachineryItemState_StateMachineType."""

MODE_STATES = {"None": 0, "Maintenance": 1, "Setup": 2, "Processing": 3}
"""OPC 40001-1, MachineryOperationModeStateMachineType."""


class TransitionError(RuntimeError):
    """A state machine is asked for a transition that its type does not have."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A transition that was made: states and its own name and number."""

    before: State
    after: State
    via: State


class ProductionState:
    """A ProductionStateMachineType or one of its subtypes, beginning in Initializing."""

    def __init__(self, state: str = "Initializing") -> None:
        self.name = state

    @property
    def state(self) -> State:
        """Value of CurrentState."""
        return State(self.name, PRODUCTION_STATES[self.name])

    def may(self, name: str) -> bool:
        """The transition from here to `name` exists."""
        return (self.name, name) in PRODUCTION_TRANSITIONS

    def go(self, name: str) -> Transition:
        """Make a transition.

        Raises:
            TransitionError: The type has no such transition.
        """
        number = PRODUCTION_TRANSITIONS.get((self.name, name))
        if number is None:
            allowed = ", ".join(after for before, after in PRODUCTION_TRANSITIONS if before == self.name)
            raise TransitionError(f"from {self.name} to {name}; allowed: {allowed}")
        before, self.name = self.state, name
        return Transition(before, self.state, State(f"{before.name}To{name}", number))
