# Without its plugin docker prints its whole help.
docker compose version > /dev/null 2>&1 || {
    echo "docker compose does not work: is the Compose plugin installed? See: docker compose version" >&2
    exit 1
}
