#!/bin/sh
# Starts what was stopped of {{name}} again. It may run twice, and does nothing the second time.
#
# timeout: 10m
set -eu
cd "$CONTAINER_DIR"

stopped=$DATA_DIR/.stopped-for-backup
if [ -e "$stopped" ]; then
    # A service's name holds no blank.
    # shellcheck disable=SC2046
    docker compose start $(sort -u "$stopped")
    rm -f "$stopped"
fi
