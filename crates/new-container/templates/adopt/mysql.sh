# All databases of the server, or the service's own if the password of root is not known. The variables are those of the
# container: no password is in an argument list.
# shellcheck disable=SC2016
docker compose exec -T {{database}} sh -c '
    password=${MARIADB_ROOT_PASSWORD:-${MYSQL_ROOT_PASSWORD:-}}
    file=${MARIADB_ROOT_PASSWORD_FILE:-${MYSQL_ROOT_PASSWORD_FILE:-}}
    if [ -n "$file" ]; then password=$(cat "$file"); fi
    set -- --user=root --all-databases
    if [ -z "$password" ]; then
        password=${MARIADB_PASSWORD:-${MYSQL_PASSWORD:-}}
        set -- --user="${MARIADB_USER:-$MYSQL_USER}" --databases "${MARIADB_DATABASE:-$MYSQL_DATABASE}"
    fi
    program=$(command -v mariadb-dump || command -v mysqldump)
    MYSQL_PWD=$password "$program" "$@" --no-tablespaces --single-transaction --quick --routines --events --triggers
' | gzip > "$DUMP_DIR/{{dump}}"
