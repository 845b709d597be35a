# sqlite3 would make an empty database if the file is missing.
[[ -f {{path}} ]] || { echo "no such file: "{{path}} >&2; exit 1; }
(cd "$DUMP_DIR" && sqlite3 -bail {{path}} '.timeout 60000' '.backup {{dump}}')
