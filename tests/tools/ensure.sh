#!/bin/sh
# What the tests need beside Python: a real MQTT broker, Node.js for the OPC UA server of another stack, clocks that
# jump (libfaketime), cables that can be unplugged (network namespaces), and a browser that looks at report pages.
# Installed from Debian's packages where missing, which takes root; without root it says what to install.
set -eu
cd "$(dirname "$0")/../.."

missing=""
[ -x /usr/sbin/mosquitto ] || command -v mosquitto >/dev/null || missing="$missing mosquitto"
command -v mosquitto_sub >/dev/null || missing="$missing mosquitto-clients"
command -v curl >/dev/null || missing="$missing curl"
command -v openssl >/dev/null || missing="$missing openssl"
command -v node >/dev/null || missing="$missing nodejs"
command -v npm >/dev/null || missing="$missing npm"
command -v chromium >/dev/null || missing="$missing chromium"
command -v faketime >/dev/null || missing="$missing faketime"
[ -x /usr/sbin/ip ] || command -v ip >/dev/null || missing="$missing iproute2"
if [ -n "$missing" ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "The tests need:$missing. Install them: sudo apt-get install$missing" >&2
        exit 2
    fi
    echo "installing for the tests:$missing"
    # Tests start brokers of their own on free ports; the packaged service is not wanted.
    mkdir -p /etc/systemd/system && [ -e /etc/systemd/system/mosquitto.service ] ||
        ln -s /dev/null /etc/systemd/system/mosquitto.service
    apt-get update -qq
    # shellcheck disable=SC2086 - a list of package names
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

marker=tests/foreign/node_modules/.area4
if [ ! -e "$marker" ] || [ tests/foreign/package-lock.json -nt "$marker" ]; then
    echo "installing the OPC UA server of another stack (node-opcua)"
    npm ci --prefix tests/foreign --no-audit --no-fund --ignore-scripts --loglevel=error
    touch "$marker"
fi
