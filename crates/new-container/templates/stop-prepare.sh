#!/bin/sh
# Stops {{name}} for a backup. after-backup.sh starts it again, whatever becomes of the backup.
#
# timeout: 10m
set -eu
cd "$CONTAINER_DIR"

# A service that was not running stays as it is.
if [ -n "$(docker compose ps --quiet --status running)" ]; then
    : > .stopped-for-backup
fi
docker compose stop
