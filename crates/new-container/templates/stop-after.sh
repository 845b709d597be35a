#!/bin/sh
# Starts {{name}} again. It may run twice, and does nothing the second time.
#
# timeout: 10m
set -eu
cd "$CONTAINER_DIR"

if [ -e .stopped-for-backup ]; then
    docker compose start
    rm -f .stopped-for-backup
fi
