# Installs, runs, upgrades and uninstalls an archive in a bare root. The last line sums up; any failure stops it.
set -eu
cd "$HOME"
if command -v cargo || command -v rustc; then
    echo "this root has Rust"
    exit 1
fi

tree() {
    find . | sort
    find . -type f -exec sha256sum {} + | sort
}

wait_for() {
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || { echo "not within a minute: $*"; cat containers/backrest/logs/* || :; exit 1; }
        sleep 0.1
    done
}

has_notes() {
    [ "$(wc -l <notes)" -ge 200 ]
}

for version in old new; do
    mkdir "/tmp/$version"
    tar -xzf "/dist/$version.tar.gz" -C "/tmp/$version"
done
mkdir -p .config .local/bin
echo mine >.config/mine
echo mine >.local/bin/configure-ssh.sh
tree >/tmp/before

sh /tmp/old/*/install.sh >/tmp/first
export PATH="$HOME/.local/bin:$PATH"
grep -q 'yours is kept as bin/configure-ssh.sh.before-backrest-helpers' /tmp/first
for program in backrest-push backrest-send build-ignore create-backrest-pipe new-container pipe-listener \
    pre-backup-actions ssh-key-setup; do
    "$program" --help >/dev/null
    "$program" --version
done

mkdir -p containers/backrest/actions data/backrest data/wiki
echo '/cache/' >data/wiki/.resticignore
mkdir data/wiki/cache
build-ignore-file.sh
grep -q '^/userdata/data/wiki/cache' containers/backrest/ignorefile.txt
printf '#!/bin/sh\necho prepared >dump\n' >data/wiki/prepare-backup.sh
printf '#!/bin/sh\necho "$1" >>"$HOME/notes"\n' >containers/backrest/actions/note
chmod 755 data/wiki/prepare-backup.sh containers/backrest/actions/note
create-backrest-pipe --supervisor none
pipe-listener &
listener=$!
bridge=containers/backrest/bridge
wait_for "$bridge/backrest-send" ping
"$bridge/backrest-send" pre-backups
[ "$(cat data/wiki/dump)" = prepared ]

touch notes
(
    number=0
    while [ "$number" -lt 200 ]; do
        number=$((number + 1))
        echo "note $number" >"$bridge/backrest-pipe"
        sleep 0.02
    done
) &
sender=$!
sleep 1
sh /tmp/new/*/install.sh >/tmp/second
grep -q '^  removed    bin/no-longer-there$' /tmp/second
create-backrest-pipe --supervisor none
kill "$listener"
wait "$listener"
pipe-listener &
listener=$!
wait "$sender"
wait_for has_notes
seq 1 200 | cmp - notes
cmp /tmp/new/*/bin/pipe-listener .local/bin/pipe-listener
kill "$listener"
wait "$listener"

create-backrest-pipe remove
[ ! -e "$bridge" ]
rm -r containers data notes
sh .local/share/backrest-helpers/install.sh --uninstall >/dev/null
tree | cmp - /tmp/before
echo "installed, upgraded while 200 messages arrived, uninstalled: the home is as it was"
