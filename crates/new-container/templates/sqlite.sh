#!/bin/sh
# Copies the SQLite database of {{name}} before a backup, while the service goes on writing to it.
#
# dump: database.sqlite kind=sqlite max-shrink=50%
# timeout: 30m
set -eu

# Where the service keeps it. Put the right name here, and into .resticignore, which leaves this live file out.
database="$DATA_DIR/data/{{name}}.db"

# sqlite3 would make an empty database.
if [ ! -f "$database" ]; then
    echo "no such file: $database: put the database's name into prepare-backup.sh" >&2
    exit 1
fi
cd "$DUMP_DIR"
sqlite3 -bail "$database" '.timeout 60000' '.backup database.sqlite'
