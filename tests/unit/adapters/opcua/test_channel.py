"""The channel beside asyncua's own: what one seals the other opens, and nothing changed on its way is taken."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.connection import SecureConnection
from asyncua.common.utils import Buffer
from asyncua.crypto import security_policies as policies
from asyncua.ua.ua_binary import header_from_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.opcua.channel import Message, OversizedError, RefusedMessageError
from adapters.opcua.transport import SMALL_BUFFER, SMALL_READS, Answered, BoundedLimits, BoundedProtocol

POLICIES = [
    policies.SecurityPolicyAes256Sha256RsaPss,
    policies.SecurityPolicyAes128Sha256RsaOaep,
    policies.SecurityPolicyBasic256Sha256,
]
ENCRYPTED = ua.MessageSecurityMode.SignAndEncrypt
SIGNED = ua.MessageSecurityMode.Sign
PROTECTED = [(policy, mode) for policy in POLICIES for mode in (ENCRYPTED, SIGNED)]
ALL = [*PROTECTED, (policies.SecurityPolicyNone, ua.MessageSecurityMode.None_)]
IDS = [f"{policy.__name__[14:]}-{mode.name}" for policy, mode in ALL]
MOST = 300_000


def policy_of(kind: Any, mode: Any) -> Any:
    """A policy without certificates, for its symmetric part alone."""
    if kind is policies.SecurityPolicyNone:
        return kind()
    found = kind.__new__(kind)
    found.symmetric_cryptography = policies.Cryptography(mode)
    return found


class Pair:
    """Our channel, and asyncua's connection as the server that it speaks to."""

    def __init__(self, kind: Any = POLICIES[0], mode: Any = ENCRYPTED, chunk: int = 65_535) -> None:
        limits = BoundedLimits(65_535, 65_535, 40, MOST)
        self.protocol = BoundedProtocol(1, security_policy=policy_of(kind, mode), limits=limits)
        self.client = self.protocol._connection
        self.server = SecureConnection(policy_of(kind, mode), BoundedLimits(65_535, chunk, 100, 2 * MOST))
        self.channel = self.protocol.channel
        self.agree(ua.SecurityTokenRequestType.Issue)

    def agree(self, kind: Any) -> None:
        """As OpenSecureChannel does, for the first or a further token."""
        nonce = bytes(range(32)) if kind == ua.SecurityTokenRequestType.Issue else bytes(range(7, 39))
        asked = SimpleNamespace(ClientNonce=nonce, RequestType=kind, RequestedLifetime=60_000)
        told = self.server.open(asked, SimpleNamespace(get_new_channel_id=lambda: 5))
        token = ua.ChannelSecurityToken(
            told.SecurityToken.ChannelId, told.SecurityToken.TokenId, told.SecurityToken.CreatedAt, 60_000
        )
        self.client.set_channel(SimpleNamespace(SecurityToken=token, ServerNonce=told.ServerNonce), kind, nonce)

    def at_server(self, message: bytes) -> tuple[int, bytes]:
        """What asyncua's server makes of our message."""
        buffer = Buffer(message)
        while buffer:
            found = self.server.receive_from_header_and_body(header_from_binary(buffer), buffer)
        return found.request_id(), bytes(found.body())

    def answer(self, body: bytes, request: int = 1) -> list[bytes]:
        """Chunks of the server's answer."""
        whole = self.server.message_to_binary(body, request_id=request)
        chunks = []
        while whole:
            (size,) = struct.unpack_from("<I", whole, 4)
            chunks.append(whole[:size])
            whole = whole[size:]
        return chunks

    def open(self, chunks: list[bytes]) -> Message | None:
        found = None
        for chunk in chunks:
            assert found is None
            found = self.channel.open(memoryview(chunk))
        return found


@pytest.mark.parametrize(("kind", "mode"), ALL, ids=IDS)
@given(bodies=st.lists(st.binary(max_size=700), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_requests_are_what_the_other_stack_reads(kind: Any, mode: Any, bodies: list[bytes]) -> None:
    pair = Pair(kind, mode)
    for request, body in enumerate(bodies, 7):
        message = pair.channel.seal(b"\x01" + body, request)
        assert pair.at_server(message) == (request, b"\x01" + body)


@pytest.mark.parametrize(("kind", "mode"), ALL, ids=IDS)
@given(bodies=st.lists(st.binary(min_size=1, max_size=40_000), min_size=1, max_size=3))
@settings(max_examples=20, deadline=None)
def test_answers_of_one_and_of_several_chunks(kind: Any, mode: Any, bodies: list[bytes]) -> None:
    pair = Pair(kind, mode, chunk=8_192)
    for request, body in enumerate(bodies, 3):
        assert pair.open(pair.answer(body, request)) == Message(request, body)
        assert not pair.channel.within


def test_a_request_that_one_chunk_does_not_hold_goes_in_several() -> None:
    pair = Pair()
    body = bytes(200_000)
    assert pair.at_server(pair.channel.seal(body, 9)) == (9, body)
    assert pair.at_server(pair.channel.seal(b"next", 10)) == (10, b"next")


@pytest.mark.parametrize(("kind", "mode"), PROTECTED, ids=IDS[:-1])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_no_changed_byte_is_taken(kind: Any, mode: Any, data: st.DataObject) -> None:
    pair = Pair(kind, mode)
    (chunk,) = pair.answer(data.draw(st.binary(min_size=1, max_size=100)))
    place = data.draw(st.integers(8, len(chunk) - 1))
    changed = bytearray(chunk)
    changed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RefusedMessageError):
        pair.open([bytes(changed)])


@pytest.mark.parametrize(("kind", "mode"), PROTECTED, ids=IDS[:-1])
def test_no_shortened_chunk_is_taken(kind: Any, mode: Any) -> None:
    pair = Pair(kind, mode)
    (chunk,) = pair.answer(b"a body")
    for length in range(24, len(chunk)):
        with pytest.raises(RefusedMessageError):
            Pair(kind, mode).open([chunk[:length]])
    assert pair.open([chunk]) is not None


@pytest.mark.parametrize(("kind", "mode"), ALL, ids=IDS)
def test_a_chunk_that_comes_twice_or_too_early_is_refused(kind: Any, mode: Any) -> None:
    pair = Pair(kind, mode)
    first, second, third = pair.answer(b"one"), pair.answer(b"two"), pair.answer(b"three")
    assert pair.open(first) == Message(1, b"one")
    with pytest.raises(RefusedMessageError, match="came after"):
        pair.open(first)
    with pytest.raises(RefusedMessageError, match="came after"):
        pair.open(third)
    assert pair.open(second) == Message(1, b"two")


def test_sequence_numbers_start_anew_after_the_last_one() -> None:
    pair = Pair()
    pair.server._sequence_number = pair.client._sequence_number = (1 << 32) - 3
    for request in range(1, 5):
        assert pair.open(pair.answer(b"x", request)) == Message(request, b"x")
        assert pair.at_server(pair.channel.seal(b"y", request)) == (request, b"y")
    assert pair.client._peer_sequence_number == pair.client._sequence_number == 2


def test_the_token_before_is_taken_until_its_keys_end() -> None:
    pair = Pair()
    late, later = pair.answer(b"late"), pair.answer(b"later")
    pair.agree(ua.SecurityTokenRequestType.Renew)
    assert pair.at_server(pair.channel.seal(b"with the new token", 2)) == (2, b"with the new token")
    assert pair.open(late) == Message(1, b"late")
    pair.client.security_policy.symmetric_cryptography.prev_key_expiration = 0.0
    with pytest.raises(RefusedMessageError, match="keys that have ended"):
        pair.open(later)


def test_the_server_may_use_the_new_token_first() -> None:
    pair = Pair()
    pair.agree(ua.SecurityTokenRequestType.Renew)
    pair.server.revolve_tokens()
    assert pair.open(pair.answer(b"new")) == Message(1, b"new")
    assert pair.at_server(pair.channel.seal(b"new too", 2)) == (2, b"new too")


@pytest.mark.parametrize("token", [0, 12, 99])
def test_a_token_that_was_never_agreed_is_refused(token: int) -> None:
    pair = Pair(policies.SecurityPolicyNone, ua.MessageSecurityMode.None_)
    (chunk,) = pair.answer(b"body")
    with pytest.raises(RefusedMessageError, match=r"token"):
        pair.open([chunk[:12] + struct.pack("<I", token) + chunk[16:]])
    assert pair.open([chunk]) == Message(1, b"body")


def test_another_channel_and_one_that_is_not_open_are_refused() -> None:
    pair = Pair()
    (chunk,) = pair.answer(b"body")
    with pytest.raises(RefusedMessageError, match="channel 6"):
        pair.open([chunk[:8] + struct.pack("<I", 6) + chunk[12:]])
    pair.client.close()
    with pytest.raises(RefusedMessageError, match="not open"):
        pair.open([chunk])


def test_an_aborted_message_leaves_the_channel_open() -> None:
    plain = Pair(policies.SecurityPolicyNone, ua.MessageSecurityMode.None_, chunk=8_192)
    assert plain.open(plain.answer(bytes(20_000), 4)[:2]) is None
    assert plain.channel.within
    plain.server._sequence_number = 2
    (abort,) = plain.answer(struct.pack("<Ii", ua.StatusCodes.BadEncodingLimitsExceeded, -1), 4)
    found = plain.open([abort[:3] + b"A" + abort[4:]])
    assert found == Message(4, b"", ua.StatusCodes.BadEncodingLimitsExceeded)
    assert not plain.channel.within
    assert plain.open(plain.answer(b"next", 5)) == Message(5, b"next")


def test_messages_do_not_mix() -> None:
    pair = Pair(policies.SecurityPolicyNone, ua.MessageSecurityMode.None_, chunk=8_192)
    chunks = pair.answer(bytes(10_000), 4)
    assert pair.open(chunks[:1]) is None
    other = chunks[1][:20] + struct.pack("<I", 5) + chunks[1][24:]
    with pytest.raises(RefusedMessageError, match="within the answer to 4"):
        pair.open([other])


@pytest.mark.parametrize("kind", [b"X", b"c", b"\0"])
def test_a_kind_of_chunk_that_does_not_exist_is_refused(kind: bytes) -> None:
    pair = Pair(policies.SecurityPolicyNone, ua.MessageSecurityMode.None_)
    (chunk,) = pair.answer(b"body")
    with pytest.raises(RefusedMessageError, match="unknown kind"):
        pair.open([chunk[:3] + kind + chunk[4:]])


@pytest.mark.parametrize("chunk", [8_192, 65_535])
def test_a_message_beyond_the_limits_is_refused(chunk: int) -> None:
    pair = Pair(chunk=chunk)
    with pytest.raises(OversizedError):
        pair.open(pair.answer(bytes(2 * MOST - 1000)))


def test_a_longer_padding_than_the_message_is_refused() -> None:
    pair = Pair()
    crypto = pair.server.security_policy.symmetric_cryptography
    head = struct.pack("<3scIII", b"MSG", b"F", 16 + 64, 5, 13)
    plain = struct.pack("<II", 1, 1) + b"\xff" * 24
    chunk = head + crypto.encrypt(plain + crypto.signature(head + plain))
    with pytest.raises(RefusedMessageError, match="padding"):
        pair.open([chunk])


class Wire:
    """In place of a socket."""

    closed = False

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


class Kept(Answered):
    def __init__(self) -> None:
        self.body: bytes | None = None
        self.problem: BaseException | None = None

    def take(self, body: bytes) -> None:
        self.body = body

    def set_exception(self, problem: BaseException) -> None:
        self.problem = problem

    def done(self) -> bool:
        return self.body is not None or self.problem is not None


def feed(protocol: Any, data: bytes, most: int = 1 << 20) -> None:
    """As an event loop does with what a socket has."""
    while data:
        view = protocol.get_buffer(-1)
        count = min(len(view), len(data), most)
        assert count > 0
        view[:count] = data[:count]
        data = data[count:]
        protocol.buffer_updated(count)


@given(sizes=st.lists(st.integers(1, 70_000), min_size=1, max_size=4), most=st.integers(1, 70_000))
@settings(max_examples=25, deadline=None)
def test_answers_come_whole_however_the_socket_cuts_them(sizes: list[int], most: int) -> None:
    pair = Pair()
    pair.protocol.transport = Wire()  # type: ignore[assignment]
    answers = [Kept() for _ in sizes]
    pair.protocol._callbackmap.update(enumerate(answers))  # type: ignore[arg-type]
    bodies = [bytes((number,)) * size for number, size in enumerate(sizes)]
    feed(pair.protocol, b"".join(chunk for at, body in enumerate(bodies) for chunk in pair.answer(body, at)), most)
    assert [one.body for one in answers] == bodies
    assert pair.protocol.refused is None


def test_the_buffer_grows_for_large_chunks_and_shrinks_again() -> None:
    pair = Pair()
    pair.protocol.transport = Wire()  # type: ignore[assignment]
    sizes = []
    for request in range(SMALL_READS + 1):
        answer = Kept()
        pair.protocol._callbackmap[request] = answer  # type: ignore[assignment]
        feed(pair.protocol, b"".join(pair.answer(bytes(100 if request else 60_000), request)))
        assert answer.body is not None
        sizes.append(len(pair.protocol.get_buffer(-1)))
    assert sizes[0] > 65_535
    assert sizes[-1] == SMALL_BUFFER


def test_what_cannot_be_ends_the_connection_and_all_that_waits() -> None:
    pair = Pair()
    wire = pair.protocol.transport = Wire()  # type: ignore[assignment]
    waiting = Kept()
    pair.protocol._callbackmap[7] = waiting  # type: ignore[assignment]
    (chunk,) = pair.answer(b"body", 7)
    feed(pair.protocol, chunk[:-1] + bytes((chunk[-1] ^ 1,)))
    assert wire.closed
    assert isinstance(waiting.problem, RefusedMessageError)
    assert "signature" in (pair.protocol.refused or "")
    assert waiting.body is None


def test_an_aborted_answer_is_told_to_who_waits() -> None:
    pair = Pair(policies.SecurityPolicyNone, ua.MessageSecurityMode.None_)
    pair.protocol.transport = Wire()  # type: ignore[assignment]
    waiting = Kept()
    pair.protocol._callbackmap[4] = waiting  # type: ignore[assignment]
    (chunk,) = pair.answer(struct.pack("<Ii", ua.StatusCodes.BadResponseTooLarge, -1), 4)
    feed(pair.protocol, chunk[:3] + b"A" + chunk[4:])
    assert isinstance(waiting.problem, ua.UaStatusCodeError)
    assert waiting.problem.code == ua.StatusCodes.BadResponseTooLarge
    assert pair.protocol.refused is None
