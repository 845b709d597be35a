# A snapshot of the whole server. The password, if it has one, is taken from the variables of the container.
# shellcheck disable=SC2016
docker compose exec -T {{database}} sh -c '
    program=$(command -v redis-cli || command -v valkey-cli || command -v keydb-cli)
    REDISCLI_AUTH=${REDIS_PASSWORD:-${VALKEY_PASSWORD:-}}
    export REDISCLI_AUTH
    if [ -z "$REDISCLI_AUTH" ]; then unset REDISCLI_AUTH; fi
    "$program" --rdb -
' > "$DUMP_DIR/{{dump}}"
