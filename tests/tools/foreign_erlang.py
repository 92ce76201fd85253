"""RabbitMQ and ejabberd from Debian's packages, each as a process of its own in a folder of its own.

Neither is started by its packaged script's user, node name or folders, so nothing of an installed service is touched.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

RABBITMQ_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's own script in /usr/sbin changes the user; this one is RabbitMQ's."""

RABBITMQ = """
listeners.tcp = none
mqtt.listeners.tcp = none
mqtt.listeners.ssl.default = 127.0.0.1:{port}
mqtt.allow_anonymous = false
mqtt.ssl_cert_login = true
ssl_cert_login_from = common_name
ssl_options.cacertfile = {ca}
ssl_options.certfile = {cert}
ssl_options.keyfile = {key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
load_definitions = {folder}/definitions.json
"""

RABBITMQ_ENVIRONMENT = """
RABBITMQ_NODENAME=area4-{spare}@localhost
RABBITMQ_DIST_PORT={spare}
RABBITMQ_CONFIG_FILE={folder}/rabbitmq.conf
RABBITMQ_CONF_ENV_FILE={folder}/none.conf
RABBITMQ_ENABLED_PLUGINS_FILE={folder}/plugins
RABBITMQ_MNESIA_BASE={folder}/store
RABBITMQ_LOG_BASE={folder}/logs
RABBITMQ_LOGS=-
RABBITMQ_ALLOW_INPUT=1
RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-start_epmd false -noinput
HOME={folder}
"""

WITH_EPMD = """
epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" &
until epmd -port "$ERL_EPMD_PORT" -names >/dev/null 2>&1; do sleep 0.1; done
exec "$@"
"""
"""Erlang's port mapper of our own, in the same process group, so that nothing stays behind."""

EJABBERD = """
hosts: [localhost]
loglevel: warning
certfiles: ["{folder}/own.pem"]
c2s_cafile: "{ca}"
auth_method: [internal]
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: mod_mqtt
    tls: true
    tls_verify: true
modules:
  mod_mqtt: {{}}
"""


def rabbitmq(names: Mapping[str, object], epmd_port: int) -> list[str]:
    """Its MQTT plug-in with `verify_peer`, `fail_if_no_peer_cert` and the certificate's common name as user.

    Raises:
        SystemExit: It is not installed.
    """
    if not RABBITMQ_SERVER.exists():
        raise SystemExit("RabbitMQ is not installed (Debian's package rabbitmq-server)")
    folder = Path(str(names["folder"]))
    users = ["client", "reader", "other"]
    everything = {"vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}
    definitions = {
        "vhosts": [{"name": "/"}],
        "users": [{"name": user, "password_hash": "", "tags": ""} for user in users],
        "permissions": [{"user": user, **everything} for user in users],
    }
    (folder / "definitions.json").write_text(json.dumps(definitions))
    (folder / "plugins").write_text("[rabbitmq_mqtt].\n")
    (folder / "rabbitmq.conf").write_text(RABBITMQ.format(**names))
    environment = RABBITMQ_ENVIRONMENT.format(**names).strip().splitlines()
    run = ["sh", "-c", WITH_EPMD, "sh", str(RABBITMQ_SERVER)]
    return ["env", *environment, f"ERL_EPMD_PORT={epmd_port}", *run]


def ejabberd(names: Mapping[str, object]) -> list[str]:
    """Its MQTT listener with `tls_verify`; a client is the user that its certificate
    names, and has to say so in CONNECT without a password.

    Raises:
        SystemExit: It is not installed.
    """
    library = next(iter(sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin"))), None)
    program = shutil.which("erl")
    if library is None or program is None:
        raise SystemExit("ejabberd is not installed (Debian's package ejabberd)")
    folder = Path(str(names["folder"]))
    own = Path(str(names["cert"])).read_text() + Path(str(names["key"])).read_text()
    (folder / "own.pem").write_text(own)
    (folder / "ejabberd.yml").write_text(EJABBERD.format(**names))
    environment = [
        f"EJABBERD_CONFIG_PATH={folder}/ejabberd.yml", f"EJABBERD_LOG_PATH={folder}/ejabberd.log",
        f"ERL_LIBS={library.parent.parent}", f"HOME={folder}",
    ]  # fmt: skip
    store = ["-mnesia", "dir", f'"{folder}/store"']
    return ["env", *environment, program, "-noinput", *store, "-s", "ejabberd"]
