# All databases of the server, with its users. The variables are those of the container: no password is in an argument
# list.
# shellcheck disable=SC2016
docker compose exec -T {{database}} sh -c '
    user=${POSTGRES_USER:-${POSTGRESQL_USERNAME:-postgres}}
    password=${POSTGRES_PASSWORD:-${POSTGRESQL_PASSWORD:-}}
    file=${POSTGRES_PASSWORD_FILE:-${POSTGRESQL_PASSWORD_FILE:-}}
    if [ -n "$file" ]; then password=$(cat "$file"); fi
    PGPASSWORD=$password pg_dumpall --clean --if-exists --username="$user"
' | gzip > "$DUMP_DIR/{{dump}}"
