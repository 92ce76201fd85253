"""The table of commands, and the group that loads a command's module only when it is used."""

from __future__ import annotations

import importlib
from typing import NamedTuple

import click


class Entry(NamedTuple):
    """A command: the module that defines it as `command`, and its line in the help."""

    module: str
    help: str


COMMANDS: dict[str, Entry] = {
    "run": Entry("gateway.cli.run", "Run the gateway."),
    "check": Entry("gateway.cli.check", "Validate a configuration and try every connection step by step."),
    "discover": Entry("gateway.cli.discover", "Show what an OPC UA server offers and what would be published."),
    "init": Entry("gateway.cli.init", "Write a commented configuration and its certificates."),
    "pki": Entry("gateway.cli.pki", "Certificates: create, show, approve, issue, revoke."),
    "demo": Entry("gateway.cli.demo", "Broker, three simulated machine tools, gateway and a live view, all here."),
    "sim": Entry("gateway.cli.sim", "Simulated OPC UA servers one by one: a machine tool, a load."),
    "watch": Entry("gateway.cli.watch", "Show what arrives at the broker, as a plain consumer."),
    "audit": Entry("gateway.cli.audit", "Prove as a plain consumer that nothing is lost; how late data arrives."),
    "conform": Entry("gateway.cli.conform", "Judge devices, gateways, brokers and networks by the standards."),
    "outbox": Entry("gateway.cli.outbox", "Look into the outbox: show, verify, export, forget."),
    "schema": Entry("gateway.cli.schema", "JSON Schemas of the messages, and the AsyncAPI document."),
    "completion": Entry("gateway.cli.completion", "Shell completion for bash, zsh or fish."),
    "version": Entry("gateway.cli.version", "Version of the gateway and of what it runs on."),
}
"""A command is one module with a click command named `command`, and one line here."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used, not when they are listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command, imported now."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = importlib.import_module(entry.module).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """The list in the help, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])
