#!/bin/sh
# Starts what was stopped of {{name}} again. It may run twice, and does nothing the second time.
#
# timeout: 10m
set -eu
cd "$CONTAINER_DIR"

if [ -e .stopped-for-backup ]; then
    # A service's name holds no blank.
    # shellcheck disable=SC2046
    docker compose start $(sort -u .stopped-for-backup)
    rm -f .stopped-for-backup
fi
