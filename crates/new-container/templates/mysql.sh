#!/usr/bin/env bash
# Dumps the MySQL database of {{name}} before a backup.
#
# dump: database.sql.gz kind=mysql max-shrink=50%
# timeout: 1h
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
    MYSQL_PWD="$MYSQL_ROOT_PASSWORD" mysqldump --user=root --no-tablespaces \
        --single-transaction --quick --routines --events --triggers "$MYSQL_DATABASE"
' | gzip > "$DUMP_DIR/database.sql.gz"
