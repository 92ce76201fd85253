"""Records what the docs show: real messages of a demo, and the demo's own picture and summary.

    python -m tests.tools.record        # runs a demo of a minute, writes docs/examples/ and the marked blocks

A test holds the blocks against the files and the messages against the published schemas.
"""

import asyncio
import io
import json
import tempfile
import time
from pathlib import Path

from rich.console import Console

from conformance.consumer import Consumer, Received
from gateway.cli.demonstration import Demonstration
from gateway.cli.lab import Lab, prepare_folder
from gateway.cli.view import LiveView

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples"
SECONDS = 60.0
SHOWN = 3
WIDTH = 110


class Recorder(Demonstration):
    """A demo that keeps one message of each kind, and its last picture."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab, SECONDS, say=print)
        self.messages: dict[str, Received] = {}
        self.picture = ""
        take = self._observer.take

        def tapped(messages: list[Received]) -> int:
            for message in messages:
                self._keep(message)
            return take(messages)

        self._observer.take = tapped

    async def _watch(self, consumer: Consumer) -> None:
        view = LiveView(self._observer)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self._observer.take(await asyncio.to_thread(consumer.drain, 0.5))
            console = Console(file=io.StringIO(), width=WIDTH, color_system=None, record=True)
            facts = {
                "broker": f"{self._lab.broker.kind}, mutual TLS",
                "outbox": f"{await self._lab.outbox_depth()} messages",
            }
            console.print(view.draw(time.monotonic(), {**facts, "lost": "0"}, []))
            self.picture = console.export_text()

    def _keep(self, message: Received) -> None:
        kind = message.topic.rsplit("/", 1)[-1]
        if "_gateway" in message.topic:
            kind = "gateway-status"
        known = self.messages.get(kind)
        if known is None or (
            kind == "event" and b'"condition"' in message.payload and b'"condition"' not in known.payload
        ):
            self.messages[kind] = message


def shortened(body: object) -> object:
    """The first entries of long lists; what is left is still a valid message."""
    if isinstance(body, dict):
        return {name: shortened(value) for name, value in body.items()}
    if isinstance(body, list):
        return [shortened(value) for value in body[:SHOWN]]
    return body


def block(title: str, text: str, language: str) -> str:
    return f"{title}\n\n```{language}\n{text.rstrip()}\n```\n"


def insert(page: Path, text: str) -> None:
    """Replace what stands between the marks of a page."""
    begin, end = "<!-- recorded: begin -->", "<!-- recorded: end -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")


def messages_text() -> str:
    """The block of docs/topics.md, from the files."""
    parts = ["Recorded from `area4 demo`; long lists are cut to their first entries.\n"]
    for file in sorted(EXAMPLES.glob("*.json")):
        recorded = json.loads(file.read_text(encoding="utf-8"))
        text = json.dumps(recorded["payload"], indent=2, ensure_ascii=False)
        retained = " (retained)" if recorded["kind"] in {"description", "status", "gateway-status"} else ""
        parts.append(block(f"`{recorded['topic']}`{retained}", text, "json"))
    return "\n".join(parts)


def demo_text() -> str:
    """The block of README.md, from the files."""
    picture, summary = ((EXAMPLES / name).read_text(encoding="utf-8") for name in ("view.txt", "summary.txt"))
    return block("While it runs:", picture, "text") + "\n" + block("At the end:", summary, "text")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "lab"
        prepare_folder(place)
        recorder = Recorder(Lab(place))
        summary = asyncio.run(recorder.run())
    assert summary.lossless, summary.problems
    for kind, message in recorder.messages.items():
        recorded = {"topic": message.topic, "kind": kind, "payload": shortened(json.loads(message.payload))}
        text = json.dumps(recorded, indent=2, ensure_ascii=False) + "\n"
        (EXAMPLES / f"{kind}.json").write_text(text, encoding="utf-8")
    picture = "\n".join(line.rstrip() for line in recorder.picture.splitlines())
    (EXAMPLES / "view.txt").write_text(picture.strip("\n") + "\n", encoding="utf-8")
    (EXAMPLES / "summary.txt").write_text("\n".join(summary.lines()) + "\n", encoding="utf-8")
    insert(DOCS / "topics.md", messages_text())
    insert(DOCS.parent / "README.md", demo_text())


if __name__ == "__main__":
    main()
