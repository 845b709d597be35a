#!/usr/bin/env bash
# Dumps the databases of {{name}} before a backup.
#
{{declarations}}
# timeout: 1h
set -euo pipefail
cd "$CONTAINER_DIR"
