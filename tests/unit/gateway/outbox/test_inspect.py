import json
import sqlite3

import pytest

from gateway.cli.main import run
from gateway.errors import ConfigurationError, StorageError
from gateway.outbox import inspect, store

ALL = 10**9


async def filled(kit, monkeypatch):
    monkeypatch.setattr(store, "AHEAD_FROM", 1)
    outbox = await kit.open(sinks=("a", "b"))
    await outbox.commit([kit.description(), kit.values(1, 2), kit.values(3, machine="M2"), kit.gap()], {})
    kit.clock.advance(60)
    await outbox.commit([kit.values(4, machine="M2")], {})
    outbox.acknowledge("a", 1, "M2", 5)
    await outbox.commit([], {})
    return outbox


async def test_a_live_outbox_is_shown(kit, monkeypatch, capsys):
    await filled(kit, monkeypatch)
    found = inspect.overview(kit.path)
    assert found.holder.isdecimal()
    assert (found.messages, found.version) == (5, 2)
    assert found.oldest < found.newest
    assert found.sinks == {"a": {"cursor": 1, "pending": 2}, "b": {"cursor": 0, "pending": 5}}
    assert found.ahead == {"a": {"M2": 5}}
    assert [(one.machine, one.messages, one.first, one.last, one.seq) for one in found.machines] == [
        ("M1", 3, 1, 3, 3),
        ("M2", 2, 1, 2, 2),
    ]
    assert run(["outbox", "show", "--file", str(kit.path)]) == 0
    shown = capsys.readouterr().out
    assert "sink a: 2 to deliver, delivered up to message 1, 1 machines further on" in shown
    assert "in use by process" in shown
    assert run(["outbox", "show", "--file", str(kit.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["messages"] == 5


async def test_a_live_outbox_is_exported_as_it_will_be_sent(kit, monkeypatch, capsys):
    outbox = await filled(kit, monkeypatch)
    assert run(["outbox", "export", "--file", str(kit.path)]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    stored = await outbox.read(0, 100, ALL)
    assert [line["id"] for line in lines] == [message.id for message in stored]
    assert [line["message"] for line in lines] == kit.decode(stored)
    assert run(["outbox", "export", "--file", str(kit.path), "--machine", "M2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


async def test_a_sound_outbox_is_found_sound_and_a_tampered_one_is_not(kit, monkeypatch, capsys):
    outbox = await filled(kit, monkeypatch)
    assert run(["outbox", "verify", "--file", str(kit.path)]) == 0
    await outbox.close()
    with sqlite3.connect(kit.path) as connection:
        connection.execute("UPDATE messages SET seq = 9 WHERE id = 5")
        connection.execute("UPDATE messages SET payload = '{}', size = 7 WHERE id = 2")
        connection.execute("UPDATE messages SET payload = 'x' WHERE id = 4")
    connection.close()
    problems = inspect.verify(kit.path)
    assert any("message 5 (M2, seq 9): follows seq 1" in line for line in problems)
    assert any("message 2 (M1, seq 2): 2 bytes, 7 noted" in line for line in problems)
    assert any("no JSON" in line for line in problems)
    assert any("M2: the stream stands at" in line for line in problems)
    assert run(["outbox", "verify", "--file", str(kit.path)]) == 5
    assert "findings" in capsys.readouterr().err


async def test_a_description_is_forgotten_only_without_a_gateway(kit, monkeypatch, capsys):
    outbox = await filled(kit, monkeypatch)
    assert run(["outbox", "forget", "M1", "--file", str(kit.path)]) == 2
    assert "in use by another process" in capsys.readouterr().err
    await outbox.close()
    assert run(["outbox", "forget", "M1", "--file", str(kit.path)]) == 0
    assert run(["outbox", "forget", "M1", "--file", str(kit.path)]) == 0
    assert "M1 is forgotten.\nNothing is kept of M1" in capsys.readouterr().out
    again = await kit.open(sinks=("a", "b"))
    assert again.descriptions() == []
    assert len(await again.read(0, 100, ALL)) == 5
    assert kit.decode((await again.commit([kit.values(5)], {})).messages)[0]["seq"] == 4


def test_what_is_not_there_is_told(kit, capsys):
    assert run(["outbox", "show", "--file", str(kit.path)]) == 2
    assert "There is no outbox" in capsys.readouterr().err
    assert run(["outbox", "show"]) == 2
    assert "give either --config or --file" in capsys.readouterr().err


async def test_a_damaged_file_is_told_and_left_alone(kit):
    await (await kit.open()).close()
    kit.path.write_bytes(b"not a database at all" * 500)
    before = kit.path.read_bytes()
    with pytest.raises(StorageError, match="is damaged") as told:
        inspect.overview(kit.path)
    assert "sets it aside" in told.value.advice
    assert kit.path.read_bytes() == before


async def test_a_locked_file_is_told(kit, monkeypatch):
    await (await kit.open()).close()
    monkeypatch.setattr(inspect, "_BUSY_SECONDS", 0.05)
    holder = sqlite3.connect(kit.path, isolation_level=None)
    try:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match="is locked by another program"):
            inspect.overview(kit.path)
    finally:
        holder.close()


async def test_another_version_is_told(kit):
    await (await kit.open()).close()
    with sqlite3.connect(kit.path) as connection:
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(ConfigurationError, match="has version 1, this program reads version 2"):
        inspect.verify(kit.path)
