#!/usr/bin/env bash
# Stops {{name}} for a backup. after-backup.sh brings each container back into the state that it has now.
#
# timeout: 10m
set -euo pipefail
note=$(cd "$(dirname "$0")" && pwd)/.stopped-for-backup
cd "$CONTAINER_DIR"
here=$(pwd -P)

# Every container that Compose made from this folder, whatever its project name and its profile:
# id, project, service, name and state.
containers() {
    local folder
    for folder in "$CONTAINER_DIR" "$here"; do
        docker ps --all --no-trunc --filter "label=com.docker.compose.project.working_dir=$folder" --format \
            '{{.ID}} {{.Label "com.docker.compose.project"}} {{.Label "com.docker.compose.service"}} {{.Names}} {{.State}}' \
            || exit 1
    done | sort -u
}

# Whether a line of containers ends in the state of one that runs.
is_up() {
    [[ $1 =~ ' '(running|paused|restarting)$ ]]
}

# The projects of the lines of containers that run.
up_projects() {
    local id project rest
    while read -r id project rest; do
        if is_up "$id $rest"; then echo "$project"; fi
    done | sort -u
}

# Containers of no folder here (docker run, another program's stacks) that can write to this service's data.
strangers() {
    local ids name folder source
    mapfile -t ids < <(docker ps --quiet)
    [[ ${#ids[@]} -gt 0 ]] || return 0
    # A container that has just gone away is an error of docker inspect, and of no interest.
    docker inspect --format '{{range .Mounts}}{{if .RW}}{{$.Name}}|{{index $.Config.Labels "com.docker.compose.project.working_dir"}}|{{.Source}}{{"\n"}}{{end}}{{end}}' \
        "${ids[@]}" 2> /dev/null | while IFS='|' read -r name folder source; do
        if [[ ! -d $folder && ($source/ == "$DATA_DIR"/* || $source/ == "$(cd "$DATA_DIR" && pwd -P)"/*) ]]; then
            echo "${name#/}"
        fi
    done | sort -u || true
}

# What an earlier run stopped and after-backup.sh has not started yet keeps the state that it had then.
declare -A earlier=()
if [[ -e $note ]]; then
    while read -r id rest; do earlier[${id:-none}]=$rest; done < "$note"
fi
found=$(containers)
stop=false
while read -r id rest; do
    [[ -n $id ]] || continue
    if ! is_up "$rest"; then rest=${earlier[$id]:-$rest}; fi
    if is_up "$rest"; then stop=true; fi
    echo "$id $rest"
done <<< "$found" > "$note.part"
if [[ $stop == false ]]; then
    rm -f "$note.part" "$note"
    running=$(strangers)
    if [[ -n $running ]]; then
        echo "not started from $CONTAINER_DIR, so not stopped, but writing to $DATA_DIR:" "${running//$'\n'/ }" >&2
        exit 1
    fi
    echo "nothing runs"
    exit 0
fi
# Without its plugin docker prints its whole help.
docker compose version > /dev/null 2>&1 || {
    rm "$note.part"
    echo "docker compose does not work: is the Compose plugin installed? See: docker compose version" >&2
    exit 1
}
sync "$note.part"
mv "$note.part" "$note"

# By the compose file first, for its order and its hooks; from / what that file does not name, by Compose's own records.
for folder in "$CONTAINER_DIR" /; do
    found=$(containers)
    for project in $(up_projects <<< "$found"); do
        (cd "$folder" && docker compose --project-name "$project" --profile '*' stop < /dev/null) || true
    done
done

found=$(containers)
while read -r _ _ _ name state; do
    if is_up " $state"; then
        echo "$name is still $state" >&2
        stop=failed
    fi
done <<< "$found"
[[ $stop != failed ]]
