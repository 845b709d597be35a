#!/usr/bin/env bash
# Takes a snapshot of the Redis database of {{name}} before a backup.
#
# dump: database.rdb kind=rdb max-shrink=50%
# timeout: 30m
set -euo pipefail
cd "$CONTAINER_DIR"
# Without its plugin docker prints its whole help.
docker compose version > /dev/null 2>&1 || {
    echo "docker compose does not work: is the Compose plugin installed? See: docker compose version" >&2
    exit 1
}

# The variables are those of the container: the password is in no argument list.
# shellcheck disable=SC2016
docker compose exec -T database sh -c '
    REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli --rdb -
' > "$DUMP_DIR/database.rdb"
