# sqlite3 would make an empty one of a file that is not there.
[[ -f {{path}} ]] || { echo "no database: "{{path}} >&2; exit 1; }
(cd "$DUMP_DIR" && sqlite3 -bail {{path}} '.timeout 60000' '.backup {{dump}}')
