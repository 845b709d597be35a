#!/bin/sh
# Makes the dumps in this folder by the real programs, as root: make.sh FOLDER, once on Debian bookworm and once in a
# root of trixie (debootstrap --include=postgresql,mariadb-server,sqlite3,valkey-server). Each holds one small table.
set -eu
out=$1
work=$(mktemp -d)
chmod 755 "$work"
servers=
trap 'kill $servers 2>/dev/null || :; sleep 1; rm -rf "$work"' EXIT
mkdir -p "$out"

# SQLite: whole, and what .dump makes of a locked and of a damaged database.
sqlite3 "$work/db" "CREATE TABLE t(a INTEGER, b TEXT); WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c LIMIT 300)
    INSERT INTO t SELECT n, 'row ' || n || char(10) || 'next' FROM c;"
sqlite3 "$work/db" ".backup '$out/sqlite.db'"
sqlite3 "$work/db" .dump > "$out/sqlite.sql"
mkfifo "$work/hold"
sqlite3 "$work/db" < "$work/hold" > /dev/null & exec 3> "$work/hold"
echo 'BEGIN EXCLUSIVE; SELECT 1;' >&3
sleep 1
sqlite3 "$work/db" .dump > "$out/sqlite-locked.sql" 2>/dev/null || :
exec 3>&-
cp "$work/db" "$work/damaged"
printf '%300s' | dd of="$work/damaged" bs=1 seek=4096 conv=notrunc 2>/dev/null
sqlite3 "$work/damaged" .dump > "$out/sqlite-damaged.sql" 2>/dev/null || :

# PostgreSQL: each format.
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
mkdir "$work/pg"; chown postgres "$work/pg"
as_postgres() { setpriv --reuid "$(id -u postgres)" --regid "$(id -g postgres)" --clear-groups "$@"; }
cd "$work/pg"
as_postgres "$bin/initdb" --auth=trust -D "$work/pg/data" > /dev/null
as_postgres "$bin/postgres" -D "$work/pg/data" -k "$work/pg" -h '' > /dev/null 2>&1 &
servers="$servers $!"
until as_postgres psql -h "$work/pg" -qc 'SELECT 1' > /dev/null 2>&1; do sleep 0.2; done
psql() { as_postgres psql -h "$work/pg" -q "$@"; }
psql -c "CREATE TABLE t AS SELECT n AS a, 'row ' || n AS b FROM generate_series(1, 300) n; SELECT lo_from_bytea(0, 'large object')" > /dev/null
dump() { as_postgres "$bin/pg_dump" -h "$work/pg" "$@"; }
dump > "$out/pg.sql"
dump -Fc > "$out/pg.dump"
dump -Ft > "$out/pg.tar"
dump -Fd -f "$work/pg/folder"
rm -rf "$out/pg.folder"; cp -r "$work/pg/folder" "$out/pg.folder"; chmod -R a+rX "$out/pg.folder"
as_postgres "$bin/pg_dumpall" -h "$work/pg" > "$out/pg-cluster.sql"

# MariaDB: as it is, and without its comments.
mkdir "$work/mysql"; chown mysql "$work/mysql"
mariadb-install-db --user=mysql --datadir="$work/mysql/data" --skip-test-db > /dev/null 2>&1
mariadbd --no-defaults --user=mysql --datadir="$work/mysql/data" --socket="$work/mysql/s" --skip-networking > /dev/null 2>&1 &
servers="$servers $!"
until mariadb --no-defaults --socket="$work/mysql/s" -e 'SELECT 1' > /dev/null 2>&1; do sleep 0.2; done
mariadb --no-defaults --socket="$work/mysql/s" -e "CREATE DATABASE d; USE d; CREATE TABLE t(a INT, b TEXT);
    INSERT INTO t SELECT seq, CONCAT('row ', seq) FROM seq_1_to_300;"
mariadb_dump() { mariadb-dump --no-defaults --socket="$work/mysql/s" "$@" d; }
mariadb_dump > "$out/mariadb.sql"
mariadb_dump --compact > "$out/mariadb-compact.sql"
mariadb_dump --skip-comments > "$out/mariadb-no-comments.sql"

# Redis or Valkey: the server's own file, and what its client receives.
server=$(command -v valkey-server || command -v redis-server)
client=${server%server}cli
mkdir "$work/rdb"
"$server" --port 0 --unixsocket "$work/rdb/s" --dir "$work/rdb" > /dev/null &
servers="$servers $!"
until "$client" -s "$work/rdb/s" ping > /dev/null 2>&1; do sleep 0.2; done
for n in 1 2 3 4 5 6 7 8 9; do "$client" -s "$work/rdb/s" set "key$n" "value $n" > /dev/null; done
"$client" -s "$work/rdb/s" save > /dev/null
cp "$work/rdb/dump.rdb" "$out/server.rdb"
"$client" -s "$work/rdb/s" --rdb - > "$out/client.rdb" 2>/dev/null
