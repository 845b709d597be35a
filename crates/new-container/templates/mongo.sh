#!/usr/bin/env bash
# Dumps the MongoDB databases of {{name}} before a backup.
#
# dump: database.archive.gz kind=gzip max-shrink=50%
# timeout: 1h
set -euo pipefail
cd "$CONTAINER_DIR"
# Without its plugin docker prints its whole help.
docker compose version > /dev/null 2>&1 || {
    echo "docker compose does not work: is the Compose plugin installed? See: docker compose version" >&2
    exit 1
}

# The variables are those of the container: the password comes as a configuration on standard input and is in
# no argument list (printf is part of the shell).
# shellcheck disable=SC2016
docker compose exec -T database sh -c '
    printf "password: \"%s\"\n" "$MONGO_INITDB_ROOT_PASSWORD" |
        mongodump --config=/dev/stdin --username="$MONGO_INITDB_ROOT_USERNAME" --authenticationDatabase=admin \
            --archive --gzip
' > "$DUMP_DIR/database.archive.gz"
