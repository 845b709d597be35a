#!/bin/sh
# Stops {{name}} for a backup. after-backup.sh starts it again, whatever becomes of the backup.
#
# timeout: 10m
set -eu
cd "$CONTAINER_DIR"

# What was not running stays as it is. In an assignment a failing docker ends this script before anything is stopped.
running=$(docker compose ps --services --status running)
if [ -n "$running" ]; then
    # Beside what an earlier run stopped and nobody has started yet. .resticignore keeps the note out of the backup:
    # restored, it would start what was down.
    printf '%s\n' "$running" >> "$DATA_DIR/.stopped-for-backup"
fi
docker compose stop
