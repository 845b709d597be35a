# All databases of the server. The password comes as a configuration on standard input and is in no argument list
# (printf is part of the shell).
# shellcheck disable=SC2016
docker compose exec -T {{database}} sh -c '
    user=${MONGO_INITDB_ROOT_USERNAME:-${MONGODB_ROOT_USER:-}}
    password=${MONGO_INITDB_ROOT_PASSWORD:-${MONGODB_ROOT_PASSWORD:-}}
    file=${MONGO_INITDB_ROOT_PASSWORD_FILE:-${MONGODB_ROOT_PASSWORD_FILE:-}}
    if [ -n "$file" ]; then password=$(cat "$file"); fi
    if [ -z "$password" ]; then exec mongodump --archive --gzip; fi
    printf "password: \"%s\"\n" "$password" |
        mongodump --config=/dev/stdin --username="${user:-root}" --authenticationDatabase=admin --archive --gzip
' > "$DUMP_DIR/{{dump}}"
