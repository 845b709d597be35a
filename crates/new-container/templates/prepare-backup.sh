#!/bin/sh
# Runs before each backup of {{name}}, in this folder. If it fails, no backup is made.
# after-backup.sh beside it, if there is one, runs when the backup is over.
#
# Files that may be copied while the service runs need nothing here. A database has to be dumped:
# new-container --database KIND writes a script that does it, and docs/before-and-after.md has more.
set -eu
