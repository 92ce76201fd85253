"""How the pipeline behaves; seconds unless said otherwise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PipelineSettings:
    """Behaviour of the pipeline.

    Attributes:
        linger: Least time between two transactions, in which values gather; after a pause one begins nearly at once.
        settle: How long the first value after a pause waits for what comes along with it; not longer than `linger`.
        longest_linger: How long the next transaction waits, beyond `linger`, for connected sinks to be given what is
            stored: what they cannot keep up with gathers into larger messages.
        message_samples: Samples that a message has at most.
        intake_values: Values that may wait for their commit, of all sources together; each has an equal share of it,
            and one batch always fits.
        read_messages: Messages that a sink is given at a time.
        read_bytes: Payload bytes that a sink is given at a time.
        retry_first: Ceiling of the first delay after a failure.
        retry_longest: Highest ceiling; with a connection made in 3 s, data is back within 5 s of the peer being back.
        retry_refused: Highest ceiling where a person must act.
        stable: How long a connection must have stood to be forgiven its failures.
        connect_timeout: After which an attempt counts as failed.
        close_timeout: After which a polite goodbye is given up.
        age_check: Between two looks for what is too old, while nothing new comes.
        drain: How long sinks may deliver what is stored when the pipeline stops.
    """

    linger: float = 0.05
    settle: float = 0.005
    longest_linger: float = 0.25
    message_samples: int = 500
    intake_values: int = 50_000
    read_messages: int = 256
    read_bytes: int = 2 << 20
    retry_first: float = 0.5
    retry_longest: float = 2.0
    retry_refused: float = 30.0
    stable: float = 30.0
    connect_timeout: float = 60.0
    close_timeout: float = 5.0
    age_check: float = 30.0
    drain: float = 5.0
