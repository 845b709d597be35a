live={{path}}
# sqlite3 would make an empty database if the file is missing.
[[ -f $live ]] || { echo "no such file: $live" >&2; exit 1; }
(cd "$DUMP_DIR" && sqlite3 -bail "$live" '.timeout 60000' '.backup {{dump}}')
