#!/usr/bin/env bash
# Brings each container of {{name}} back into the state that prepare-backup.sh found. It may run twice.
#
# timeout: 10m
set -euo pipefail
note=$(cd "$(dirname "$0")" && pwd)/.stopped-for-backup
[[ -e $note ]] || exit 0
cd "$CONTAINER_DIR" || cd /

# The state of every container that there is, by its id.
declare -A now=()
look() {
    local list id state
    list=$(docker ps --all --no-trunc --format '{{.ID}} {{.State}}')
    now=()
    while read -r id state; do
        [[ -z $id ]] || now[$id]=$state
    done <<< "$list"
}

is_up() {
    [[ $1 == running || $1 == paused || $1 == restarting ]]
}

look
declare -A services=()
stay_down=()
while read -r id project service name was; do
    if [[ -z ${now[$id]:-} ]]; then
        echo "$name is gone: someone removed it"
    elif is_up "${now[$id]}"; then
        echo "$name is ${now[$id]}"
    elif is_up "$was"; then
        services[$project]+="$service "
    else
        stay_down+=("$id")
    fi
done < "$note"

result=0
for project in "${!services[@]}"; do
    read -ra names <<< "${services[$project]}"
    # Without its plugin docker prints its whole help.
    docker compose version > /dev/null 2>&1 || {
        echo "docker compose does not work: is the Compose plugin installed? See: docker compose version" >&2
        exit 1
    }
    # By the compose file; from /, if that file does not name them, by Compose's own records.
    docker compose --project-name "$project" --profile '*' start "${names[@]}" < /dev/null ||
        (cd / && docker compose --project-name "$project" start "${names[@]}" < /dev/null) ||
        result=1
done

look
# Compose also starts what the services depend on.
for id in "${stay_down[@]}"; do
    if is_up "${now[$id]:-}"; then docker stop "$id" || result=1; fi
done
while read -r id project service name was; do
    state=${now[$id]:-gone}
    if [[ $was == paused && $state == running ]]; then
        docker pause "$id" || result=1
    elif [[ $was == running || $was == paused ]] && [[ $state != gone ]] && ! is_up "$state"; then
        # One that did its work and exited with 0 is not a failure.
        code=$(docker inspect --format '{{.State.ExitCode}}' "$id")
        if [[ $code != 0 ]]; then
            echo "$name is $state (exit code $code)" >&2
            result=1
        fi
    fi
done < "$note"
if [[ $result == 0 ]]; then rm -f "$note"; fi
exit "$result"
