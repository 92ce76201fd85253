import asyncio
import os
import sqlite3
import stat
import subprocess
import sys

import pytest

from gateway.errors import ConfigurationError, StorageError
from gateway.outbox import files, migrate

ALL = 10**9


async def test_the_settings_hold_on_the_connection_that_writes(kit):
    outbox = await kit.open()
    database = outbox._writer.database._connection
    for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("page_size", 8192), ("auto_vacuum", 2)):
        assert database.execute(f"PRAGMA {pragma}").fetchone()[0] == value


async def test_folder_and_files_are_the_owners_alone(kit):
    old = os.umask(0)
    try:
        outbox = await kit.open(reserve=4096)
        await outbox.commit([kit.values(1)], {})
        assert stat.S_IMODE(kit.path.parent.stat().st_mode) == 0o700
        found = {file.name: stat.S_IMODE(file.stat().st_mode) for file in kit.path.parent.iterdir()}
    finally:
        os.umask(old)
    assert set(found.values()) == {0o600}
    assert set(found) == {"outbox.sqlite" + end for end in ("", "-wal", "-shm", ".lock", ".reserve")}


async def test_a_second_process_is_refused(kit):
    await kit.open()
    code = f"""
import asyncio, pathlib
from gateway.outbox import Outbox
from gateway.errors import ConfigurationError, StorageError
try:
    asyncio.run(Outbox.open(pathlib.Path({str(kit.path)!r}), sinks=["broker"]))
except ConfigurationError as error:
    print(error.told)
"""
    result = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert f"is in use by another process (process id {os.getpid()})" in result.stdout
    assert "stop the other one" in result.stdout


async def test_after_closing_it_can_be_opened_again(kit):
    await (await kit.open()).close()
    assert (await kit.open()).last_id == 0


def spoil_header(path):
    path.write_bytes(b"not a database at all" * 500)


def spoil_pages(path):
    content = bytearray(path.read_bytes())
    for start in range(8192, len(content), 8192):
        content[start : start + 40] = b"\xff" * 40
    path.write_bytes(content)


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("spoil", [spoil_header, spoil_pages, cut])
async def test_a_damaged_file_is_set_aside_and_the_streams_say_so(kit, spoil, caplog):
    outbox = await kit.open()
    await outbox.commit([kit.text(20_000) for _ in range(20)], {"floor": b"p"})
    epoch = kit.decode(await outbox.read(0, 1, ALL))[0]["epoch"]
    since = kit.clock.ticks
    kit.clock.advance(3600)
    await outbox.close()
    spoil(kit.path)
    kit.clock.advance(10)
    again = await kit.open()
    assert len(list(kit.path.parent.glob("outbox.sqlite.damaged-*Z"))) == 1
    assert "is damaged" in caplog.text
    assert "set aside as outbox.sqlite.damaged-" in caplog.text
    assert again.progress("floor") is None
    committed = await again.commit([kit.values(1), kit.values(2, machine="M2"), kit.values(3)], {})
    bodies = kit.decode(committed.messages)
    assert [(body["machine"], body["seq"], body.get("cause")) for body in bodies] == [
        ("M1", 1, "outbox-lost"),
        ("M1", 2, None),
        ("M2", 1, "outbox-lost"),
        ("M2", 2, None),
        ("M1", 3, None),
    ]
    assert epoch not in {body["epoch"] for body in bodies}
    assert committed.gaps == {"outbox-lost": 2}
    assert since == again._writer._loss.begin  # since then something was undelivered


async def test_the_loss_is_told_to_machines_seen_after_a_restart_but_not_for_ever(kit):
    await (await kit.open()).close()
    spoil_header(kit.path)
    await (await kit.open()).close()
    again = await kit.open(age=10**9)
    first = await again.commit([kit.values(1)], {})
    assert [message.kind for message in first.messages] == ["gap", "data"]
    await again.close()
    much_later = await kit.open(age=0.0)
    kit.clock.ticks += 10**17
    second = await much_later.commit([kit.values(1, machine="M2")], {})
    assert "outbox-lost" not in second.gaps


async def test_a_removed_file_is_noticed(kit):
    outbox = await kit.open()
    await outbox.commit([kit.values(1)], {})
    await outbox.close()
    kit.path.unlink()
    again = await kit.open()
    committed = await again.commit([kit.values(1)], {})
    assert [message.kind for message in committed.messages] == ["gap", "data"]


async def test_damage_found_while_running_starts_anew_too(kit, caplog):
    outbox = await kit.open(tail=0)
    await outbox.commit([kit.text(20_000) for _ in range(50)], {})
    outbox._writer.database._execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    outbox._writer.database._execute("PRAGMA cache_size = 0")
    spoil_pages(kit.path)
    with pytest.raises(StorageError, match="a new one was started"):
        await outbox.commit([kit.values(1)], {})
    committed = await outbox.commit([kit.values(1)], {})
    assert [message.kind for message in committed.messages] == ["gap", "data"]
    assert committed.ids[0] > 50
    assert "is damaged" in caplog.text


async def test_the_first_start_is_no_loss(kit):
    outbox = await kit.open()
    assert [message.kind for message in (await outbox.commit([kit.values(1)], {})).messages] == ["data"]


async def test_a_file_of_a_newer_gateway_is_refused_and_left_alone(kit):
    await (await kit.open()).close()
    with sqlite3.connect(kit.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ConfigurationError, match="has version 99; this gateway knows versions up to 2"):
        await kit.open()
    assert kit.path.exists()
    assert not list(kit.path.parent.glob("*.damaged*"))


async def test_a_migration_keeps_what_is_stored(kit, monkeypatch):
    outbox = await kit.open()
    await outbox.commit([kit.values(1)], {})
    await outbox.close()
    newer = [*migrate.scripts(), "CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('moved; on');"]
    monkeypatch.setattr(migrate, "scripts", lambda: newer)
    again = await kit.open()
    assert kit.outside("PRAGMA user_version") == [(3,)]
    assert kit.outside("SELECT text FROM notes") == [("moved; on",)]
    assert len(await again.read(0, 10, ALL)) == 1


async def test_a_migration_that_fails_changes_nothing(kit, monkeypatch):
    outbox = await kit.open()
    await outbox.commit([kit.values(1)], {})
    await outbox.close()
    broken = [*migrate.scripts(), "CREATE TABLE notes (text TEXT); CREATE TABLE messages (id);"]
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "scripts", lambda: broken)
        with pytest.raises(StorageError, match="messages already exists"):
            await kit.open()
    again = await kit.open()
    assert kit.outside("SELECT name FROM sqlite_master WHERE name = 'notes'") == []
    assert len(await again.read(0, 10, ALL)) == 1


async def test_a_place_that_cannot_be_used_is_told(kit, tmp_path):
    (tmp_path / "store").write_text("a file")
    with pytest.raises(ConfigurationError, match=r"The folder .* cannot be made"):
        await kit.open()


def test_a_setting_that_does_not_hold_is_an_error(tmp_path):
    connection = sqlite3.connect(":memory:")
    try:
        with pytest.raises(StorageError, match="cannot be used safely: journal_mode is memory"):
            files._settle(connection, tmp_path)
    finally:
        connection.close()
