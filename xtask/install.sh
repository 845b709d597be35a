#!/bin/sh
# Puts backrest-helpers below a folder, or takes it away again. Any POSIX shell runs it, busybox's included.
#
# Every file in bin and share beside this script goes to the same place below the prefix. What was put there is kept in
# a list, share/backrest-helpers/installed, one entry a line:
#   folder PATH       a folder that was not there before
#   file PATH SUM     a file with its SHA-256 sum
#   link PATH TARGET  a symlink
#   aside PATH NAME   a file of the user's that had one of our names and is now called NAME
# The list is written before anything is touched and names the old files and the new ones, so the same command run
# again finishes what was interrupted. A file that is not in the list is neither overwritten nor removed.
set -eu
umask 022
export LC_ALL=C

usage() {
    cat <<'END'
Put backrest-helpers below a folder, or take it away again

Usage: install.sh [--prefix DIR] [--uninstall]

Options:
  --prefix DIR  folder that gets bin and share [default: ~/.local]
  --uninstall   remove exactly what was installed, and put back the files that were kept aside
  -h, --help    print this
END
}

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit "${3:-1}"
}

sum() {
    sha256sum <"$1" | cut -d' ' -f1
}

# The entry for what lies at $1, to be listed under the path $2; nothing if nothing is there.
entry() {
    if [ -L "$1" ]; then
        printf 'link %s %s\n' "$2" "$(readlink "$1")"
    elif [ -f "$1" ]; then
        printf 'file %s %s\n' "$2" "$(sum "$1")"
    elif [ -e "$1" ]; then
        printf 'other %s\n' "$2"
    fi
}

# Whether the list has the entry $1 for the path $2. Lists of version 0.1 have sums of another kind, of 16 digits.
is_ours() {
    printf '%s\n' "$old" | grep -qxF -e "$1" && return
    case $1 in file*) printf '%s\n' "$old" | grep -qxE -e "file $2 [0-9a-f]{16}" ;; *) return 1 ;; esac
}

# The entries of the list of the kind $1.
entries() {
    printf '%s\n' "$old" | grep -E -e "^($1) " || :
}

read_list() {
    old=
    [ -f "$list" ] || return 0
    old=$(grep -v '^#' "$list" || :)
    path='[^ /][^ ]*'
    bad=$(printf '%s\n' "$old" | grep -vxE -e "(folder|file|link|aside) $path( $path)?" -e '' || :)
    above=$(printf '%s\n' "$old" | grep -E -e '(^| |/)\.\.(/| |$)' || :)
    [ -z "$bad$above" ] || fail "read the list of installed files: $list: $bad$above" \
        'correct that line, or remove the list and the files by hand'
}

write_list() {
    {
        # shellcheck disable=SC2016
        echo '# What install.sh put here; install.sh --uninstall reads it.'
        printf '%s\n' "$1" | awk 'NF && !seen[$0]++'
    } >"$(part_of "$list_path")"
    mv -f "$(part_of "$list_path")" "$list"
}

# A word for a shell.
quoted() {
    case $1 in
    *[!A-Za-z0-9/._-]*) printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")" ;;
    *) printf '%s' "$1" ;;
    esac
}

shell_file() {
    printf '# shellcheck shell=bash\n# dn makes a new service: dn NAME --image IMAGE\n'
    # The alias is a word, and its text is made of words.
    printf 'alias dn=%s\n' "$(quoted "$(quoted "$prefix/bin/new-container")")"
}

# Where the new file for the path $1 is.
source_of() {
    if [ "$1" = bin/dn.sh ]; then printf '%s\n' "$work/dn.sh"; else printf '%s\n' "$here/$1"; fi
}

part_of() {
    printf '%s\n' "$prefix/${1%/*}/.${1##*/}.backrest-part"
}

free_name() {
    name=$1.before-backrest-helpers
    number=1
    while [ -e "$prefix/$name" ] || [ -L "$prefix/$name" ]; do
        number=$((number + 1))
        name=$1.before-backrest-helpers-$number
    done
    printf '%s\n' "$name"
}

missing_folders() {
    for path in $paths; do
        while [ "$path" != . ]; do
            path=$(dirname "$path")
            [ -d "$prefix/$path" ] || printf 'folder %s\n' "$path"
        done
    done
}

install() {
    [ -d "$here/bin" ] || fail "install: $here/bin: it is not there" "run the install.sh of an unpacked archive"
    shell_file >"$work/dn.sh"
    paths=$(cd "$here" && find bin share -type f -o -type l && echo bin/dn.sh)
    paths=$(printf '%s\n' "$paths" | sort)
    read_list

    wanted='' plan='' asides=''
    for path in $paths; do
        new=$(entry "$(source_of "$path")" "$path")
        there=$(entry "$prefix/$path" "$path")
        case $there in
        '') plan="$plan new:$path" ;;
        other*) fail "put in place: $prefix/$path: a folder or a special file has this name" ;;
        "$new") plan="$plan unchanged:$path" ;;
        *)
            if is_ours "$there" "$path"; then
                plan="$plan updated:$path"
            else
                plan="$plan aside:$path"
                asides="$asides
aside $path $(free_name "$path")"
            fi
            ;;
        esac
        wanted="$wanted
$new"
    done
    # Whatever made it, this folder holds nothing but our list and our files.
    kept="$({ missing_folders && entries folder && echo folder share/backrest-helpers; } | sort -u)$asides
$(entries aside)"
    mkdir -p "$prefix/share/backrest-helpers" "$prefix/bin"
    write_list "$kept
$(entries 'file|link')
$wanted"

    # Every file is whole and on the disk before the first one gets its name.
    for path in $paths; do
        part=$(part_of "$path")
        rm -f "$part"
        case " $plan " in *" unchanged:$path "*) continue ;; esac
        mkdir -p "$prefix/${path%/*}"
        new=$(source_of "$path")
        if [ -L "$new" ]; then
            ln -s "$(readlink "$new")" "$part"
        else
            cp "$new" "$part"
            case $path in *.sh | share/*) chmod 644 "$part" ;; *) chmod 755 "$part" ;; esac
        fi
    done
    sync -f "$prefix" 2>/dev/null || sync
    report='' shared=0
    for step in $plan; do
        path=${step#*:}
        line="  $(printf '%-9s' "${step%%:*}")  $path"
        [ ! -L "$(source_of "$path")" ] || line="$line -> $(readlink "$(source_of "$path")")"
        case $step in
        aside:*)
            name=$(printf '%s\n' "$asides" | sed -n "s|^aside $path ||p")
            # A second name first, so that the old one never leads nowhere; some file systems have none.
            ln "$prefix/$path" "$prefix/$name" 2>/dev/null || mv "$prefix/$path" "$prefix/$name"
            line="  new        $path
             yours is kept as $name"
            ;;
        esac
        case $step in unchanged:*) ;; *) mv -f "$(part_of "$path")" "$prefix/$path" ;; esac
        case $step in
        aside:* | *:bin/*)
            report="$report
$line"
            ;;
        *) shared=$((shared + 1)) ;;
        esac
    done
    for path in $(entries 'file|link' | cut -d' ' -f2 | sort -u); do
        ! printf '%s\n' "$paths" | grep -qxF -e "$path" || continue
        there=$(entry "$prefix/$path" "$path")
        if [ -n "$there" ] && is_ours "$there" "$path"; then
            rm -f "$prefix/$path"
            plan="$plan removed:$path"
            report="$report
  removed    $path"
        fi
    done
    write_list "$kept
$wanted"
    case $plan in
    *new:* | *updated:* | *aside:* | *removed:*) printf 'Below %s:%s\n  and in share %s files: man pages, completions, install.sh\n' "$prefix" "$report" "$shared" ;;
    *) printf 'Nothing to do: %s files below %s are up to date.\n' "$(printf '%s\n' "$paths" | wc -l)" "$prefix" ;;
    esac
    shadowed
    refused
    advice
}

# The services' scripts, if one of them would not be run, each with the command that fixes it.
refused() {
    [ -x "$prefix/bin/pre-backup-actions" ] || return 0
    ! services=$("$prefix/bin/pre-backup-actions" --list 2>/dev/null) || return 0
    [ -z "$services" ] || printf '\nSome scripts would not be run before a backup:\n%s\n' "$services"
}

# Names that a folder earlier on PATH has as well.
shadowed() {
    case ":${PATH:-}:" in *":$prefix/bin:"*) ;; *) return 0 ;; esac
    for path in $paths; do
        case $path in bin/*) ;; *) continue ;; esac
        first=$(command -v "${path#bin/}" || :)
        case $first in
        '' | "$prefix/$path") ;;
        /*) printf 'Note: %s leads to %s, which comes earlier on PATH.\n' "${path#bin/}" "$first" ;;
        esac
    done
}

# What to add to the start file of the user's shell.
# shellcheck disable=SC2088
advice() {
    shown=$prefix
    case $prefix in "${HOME:-/nowhere}"/*) shown="\$HOME/${prefix#"$HOME"/}" ;; esac
    line="export PATH=\"$shown/bin:\$PATH\""
    case ${SHELL:-} in
    */fish)
        file='~/.config/fish/config.fish' line="fish_add_path \"$shown/bin\"" dn='new-container --shell-init fish | source'
        ;;
    */zsh)
        # shellcheck disable=SC2016
        file='~/.zshrc' dn="fpath=(\"$shown/share/zsh/site-functions\" \$fpath)   # before compinit
  eval \"\$(new-container --shell-init zsh)\""
        ;;
    *) file='~/.bashrc' dn=". \"$shown/bin/dn.sh\"" ;;
    esac
    printf '\nAdd to %s, once:\n' "$file"
    case ":${PATH:-}:" in *":$prefix/bin:"*) ;; *) printf '  %s\n' "$line" ;; esac
    printf '  %s\n' "$dn"
    echo "Then run create-backrest-pipe, or for a new Backrest: create-backrest-pipe init"
}

uninstall() {
    if [ ! -f "$list" ]; then
        printf 'Nothing to do: nothing is installed below %s.\n' "$prefix"
        return
    fi
    read_list
    printf 'Below %s:\n' "$prefix"
    for path in $(entries 'file|link' | cut -d' ' -f2 | sort -u); do
        rm -f "$(part_of "$path")"
        there=$(entry "$prefix/$path" "$path")
        if [ -z "$there" ]; then
            continue
        elif is_ours "$there" "$path"; then
            rm -f "$prefix/$path"
            printf '  removed    %s\n' "$path"
        else
            printf '  left       %s: it is not the file that was installed\n' "$path"
        fi
    done
    # The newest is listed first: it goes back, and older ones keep their second name.
    entries aside | while read -r _ path name; do
        if [ -e "$prefix/$name" ] || [ -L "$prefix/$name" ]; then
            if [ -e "$prefix/$path" ] || [ -L "$prefix/$path" ]; then
                printf '  left       %s: its old name is taken\n' "$name"
            else
                mv "$prefix/$name" "$prefix/$path"
                printf '  put back   %s\n' "$path"
            fi
        fi
    done
    rm -f "$list" "$(part_of "$list_path")"
    for path in $(entries folder | cut -d' ' -f2 | sort -ur); do
        [ "$path" != . ] || path=
        # A folder that the user has put something into stays.
        rmdir "$prefix/$path" 2>/dev/null || :
    done
    printf "\nIf you added lines for dn and PATH to your shell's start file, remove them there.\n"
}

main() {
    task=install prefix=''
    here=$(cd -- "$(dirname -- "$0")" && pwd)
    while [ $# -gt 0 ]; do
        case $1 in
        --prefix)
            [ $# -gt 1 ] || fail '--prefix needs a folder' 'install.sh --help' 2
            prefix=$2
            shift
            ;;
        --prefix=*) prefix=${1#*=} ;;
        --uninstall) task=uninstall ;;
        -h | --help) usage && exit ;;
        *) fail "unknown argument: $1" 'install.sh --help' 2 ;;
        esac
        shift
    done
    # An installed copy of this script knows its own prefix.
    [ -n "$prefix" ] || [ ! -f "$here/installed" ] || prefix=${here%/share/backrest-helpers}
    [ -n "$prefix" ] || prefix=${HOME:?}/.local
    case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
    while [ "${prefix%/}" != "$prefix" ]; do prefix=${prefix%/}; done
    list_path=share/backrest-helpers/installed
    list=$prefix/$list_path
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    "$task"
}

main "$@"
